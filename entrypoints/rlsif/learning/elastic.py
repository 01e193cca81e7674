"""Env runners that come with the nodes of a cluster: as many as there are cores with the role "rollout".

Those of a node that leaves are missed by RLlib, which starts them again where there is room; so only what
was never there has to be added. Imported in the process of the Algorithm.
"""

from __future__ import annotations

from typing import Any

import ray

from rlsif import private_api


class Elastic:
    """Adds env runners to an algorithm when nodes join, without waiting for them."""

    def __init__(self, algorithm: Any, shares_batch: bool) -> None:
        """`shares_batch`: every env runner collects its part of a batch, as PPO's do, and can be told how much."""
        self._algorithm, self._group = algorithm, algorithm.env_runner_group
        self._shares_batch = shares_batch
        self._healthy = self._group.num_healthy_remote_workers()
        # The highest number that was given; one whose env runner failed is not given again, for it decides seeds.
        self._number = self._group.num_remote_env_runners()
        # Started, and not yet up; with the call that tells.
        self._coming: dict[Any, Any] = {}

    def adjust(self) -> None:
        """Take in the env runners that are up, start those for which there is room, and share the batch anew."""
        for call in ray.wait(list(self._coming), num_returns=len(self._coming), timeout=0)[0] if self._coming else []:
            self._take_in(self._coming.pop(call), call)
        there = self._group.num_remote_env_runners() + len(self._coming)
        for _ in range(there, self._places()):
            self._number += 1
            runner = private_api.make_env_runner(self._group, self._number)
            self._coming[runner.ping.remote()] = runner
        self._share()

    def _places(self) -> int:
        """How many env runners there is room for; one has all of its cores on one node."""
        of_one = max(1, self._algorithm.config.rlsif.processes)
        cores = [node["Resources"].get("rollout", 0) for node in ray.nodes() if node["Alive"]]
        return sum(int(of_node // of_one) for of_node in cores)

    def _take_in(self, runner: Any, call: Any) -> None:
        """Let the algorithm have an env runner that is up, with the learner's weights; one that failed is dropped."""
        try:
            ray.get(call)
        except ray.exceptions.RayError:
            return
        number = private_api.add_env_runner(self._group, runner)
        state = ray.put(self._group.local_env_runner.get_state())
        self._group.foreach_env_runner(
            lambda w: w.set_state(ray.get(state)), remote_worker_ids=[number], local_env_runner=False
        )

    def _share(self) -> None:
        healthy = self._group.num_healthy_remote_workers()
        if not self._shares_batch or healthy in (0, self._healthy):
            return
        self._healthy = healthy
        config = self._algorithm.config
        rows = -(-config.total_train_batch_size // (healthy * config.num_envs_per_env_runner))
        self._group.foreach_env_runner(lambda w: w.set_fragment(rows), local_env_runner=False)

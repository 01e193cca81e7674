"""Deterministic episodes while a run trains: the learner plays them between iterations, or an actor on another core.

Imported in processes that run RLlib with TensorFlow.
"""

from __future__ import annotations

import copy
import time
from pathlib import Path
from typing import Any

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import ray
from ray.rllib.policy.sample_batch import DEFAULT_POLICY_ID
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rlsif.cluster.heartbeat import EVALUATION
from rlsif.cluster.tasks import Tasks
from rlsif.envs.episodes import AT_ONCE, LEAST_OF_MOST_STEPS, play
from rlsif.envs.find import FoundEnv, make
from rlsif.envs.task import set_task
from rlsif.errors import RlsifError
from rlsif.learning.saved_policy import Agent, of_state, weights_and_filter
from rlsif.learning.spec import Layout
from rlsif.sampling.env_runner import beating, doing

# That of `evaluate`, which plays the same episodes with the checkpoint of the iteration.
SEED = 0


class Evaluations:
    """Has episodes played by an algorithm's policy, and gives what they came to."""

    def __init__(self, algorithm: Any, layout: Layout, env: FoundEnv) -> None:
        """Make the environments, here or in an actor on this node."""
        assert layout.evaluation is not None
        self._algorithm = algorithm
        episodes = layout.evaluation.episodes
        self._player: Any = None if layout.evaluation.beside else Player(env, episodes, layout.tasks)
        self._actor: Any = None
        if layout.evaluation.beside:
            state = ray.cloudpickle.dumps(algorithm.get_policy().get_state())
            framework = algorithm.config.framework_str
            # In a job the cores of the learner's node are its own, and Ray counts one.
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            made = ray.remote(Beside).options(num_cpus=0 if layout.by_role else 1, scheduling_strategy=here)
            self._actor = made.remote(env, episodes, layout.tasks, state, framework)
        # The iteration that is evaluated beside the training, and the call.
        self._playing: tuple[int, Any] | None = None
        self._ended: list[dict[str, Any]] = []

    def begin(self, iteration: int) -> None:
        """Evaluate the policy as it is now, after so many iterations; one evaluation waits for the one before."""
        self._begin(iteration, self._algorithm.env_runner.filters.get(DEFAULT_POLICY_ID))

    def make_up(self, iteration: int, checkpoint: Path) -> None:
        """Evaluate the policy of a checkpoint, whose weights the algorithm has from then on."""
        weights, observation_filter = weights_and_filter(checkpoint)
        self._algorithm.get_policy().set_weights(weights)
        self._begin(iteration, observation_filter)

    def _begin(self, iteration: int, observation_filter: Any) -> None:
        policy = self._algorithm.get_policy()
        if self._player:
            # RLlib counts these steps, too.
            counted = int(policy.global_timestep)
            self._add(iteration, self._player.play(policy, observation_filter))
            policy.on_global_var_update({"timestep": counted})
            return
        self._collect(wait=True)
        filter_then = copy.deepcopy(observation_filter)
        self._playing = (iteration, self._actor.play.remote(policy.get_weights(), filter_then))

    def ended(self, wait: bool = False) -> dict[str, Any] | None:
        """One that has ended and was not given yet: its iteration, returns, lengths and seconds.

        `wait` waits for the one that is under way.
        """
        self._collect(wait)
        return self._ended.pop(0) if self._ended else None

    def stop(self) -> None:
        """Close the environments."""
        if self._player:
            self._player.close()

    def _collect(self, wait: bool) -> None:
        if self._playing is None:
            return
        iteration, call = self._playing
        if not wait and not ray.wait([call], timeout=0)[0]:
            return
        self._playing = None
        try:
            self._add(iteration, ray.get(call))
        except ray.exceptions.RayTaskError as problem:
            if isinstance(problem.cause, RlsifError):
                raise problem.cause from None
            raise
        except ray.exceptions.RayError as problem:
            last = str(problem).strip().splitlines()[-1]
            raise RlsifError(f"the process that plays the episodes of --evaluate-every ended: {last}") from problem

    def _add(self, iteration: int, played: dict[str, Any]) -> None:
        self._ended.append({"iteration": iteration, **played})


class Player:
    """Environments, and episodes in them."""

    def __init__(self, env: FoundEnv, episodes: int, tasks: bool) -> None:
        """Make as many environments as play at once."""
        beating(EVALUATION)
        with doing("making its environments"):
            self._environments = [make(env.ref) for _ in range(min(episodes, AT_ONCE))]
        self._env, self._episodes, self._tasks = env, episodes, Tasks(tasks)

    def play(self, policy: Any, observation_filter: Any) -> dict[str, Any]:
        """Play the episodes by the likeliest actions of a policy of RLlib's; give returns, lengths and seconds.

        Raises RlsifError for an environment that fails.
        """
        began = time.monotonic()
        for task in self._tasks.new():
            for environment in self._environments:
                set_task(environment, task)
        slots = len(self._environments) * max(1, len(self._env.agents))
        agent = Agent(policy, observation_filter, self._env, slots)
        with doing("playing the episodes of --evaluate-every"):
            # The likeliest actions of an early policy may go in circles where none ends the episode.
            limits: Any = {} if self._env.max_episode_steps else {"most_steps": LEAST_OF_MOST_STEPS, "cut": True}
            episodes = play(agent, self._environments, self._episodes, SEED, deterministic=True, **limits)
        return {
            "returns": [episode.total_reward for episode in episodes],
            "lengths": [episode.length for episode in episodes],
            "seconds": time.monotonic() - began,
        }

    def close(self) -> None:
        """Close the environments."""
        for environment in self._environments:
            environment.close()


class Beside:
    """An actor that plays by a policy of its own, which gets the learner's weights."""

    def __init__(self, env: FoundEnv, episodes: int, tasks: bool, state: bytes, framework: str) -> None:
        """Make policy and environments."""
        self._policy = of_state(state, framework, SEED)
        self._player = Player(env, episodes, tasks)

    def play(self, weights: Any, observation_filter: Any) -> dict[str, Any]:
        """As a player does, with these weights."""
        self._policy.set_weights(weights)
        return self._player.play(self._policy, observation_filter)

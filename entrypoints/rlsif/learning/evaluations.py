"""Deterministic episodes while a run trains: the learner plays them between iterations, or an actor on another core.

Imported in processes that run RLlib with TensorFlow.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from rlsif.cluster.heartbeat import EVALUATION
from rlsif.cluster.tasks import Tasks
from rlsif.envs import duel
from rlsif.envs.episodes import AT_ONCE, LEAST_OF_MOST_STEPS, play
from rlsif.envs.find import FoundEnv, make
from rlsif.envs.task import set_task
from rlsif.errors import RlsifError
from rlsif.learning.opponents import acting_against, fixed, plays, pool_of
from rlsif.learning.saved_policy import acting, of_state, weights_and_filters
from rlsif.learning.spec import Layout
from rlsif.sampling.env_runner import beating, doing
from rlsif.sampling.opponents import Opponent, Pool

# That of `evaluate`, which plays the same episodes with the checkpoint of the iteration.
SEED = 0


class Evaluations:
    """Has episodes played by an algorithm's policy, and gives what they came to."""

    def __init__(self, algorithm: Any, layout: Layout, env: FoundEnv) -> None:
        """Make the environments, here or in an actor on this node."""
        assert layout.evaluation is not None
        self._algorithm, self._env = algorithm, env
        episodes = layout.evaluation.episodes
        mine = algorithm.config.rlsif
        asked = env, episodes, layout.tasks, mine.opponent, mine.learners
        self._player: Any = None if layout.evaluation.beside else Player(*asked)
        self._actor: Any = None
        if layout.evaluation.beside:
            states = {name: ray.cloudpickle.dumps(each.get_state()) for name, each in self._policies().items()}
            framework = algorithm.config.framework_str
            # In a job the cores of the learner's node are its own, and Ray counts one.
            here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
            made = ray.remote(Beside).options(num_cpus=0 if layout.by_role else 1, scheduling_strategy=here)
            self._actor = made.remote(asked, states, framework)
        # The iteration that is evaluated beside the training, and the call.
        self._playing: tuple[int, Any] | None = None
        self._ended: list[dict[str, Any]] = []

    def begin(self, iteration: int) -> None:
        """Evaluate the policy as it is now, after so many iterations; one evaluation waits for the one before."""
        runner = self._algorithm.env_runner
        pool = runner.pool if self._algorithm.config.rlsif.opponent else Pool()
        self._begin(iteration, dict(runner.filters), pool)

    def make_up(self, iteration: int, checkpoint: Path) -> None:
        """Evaluate the policies of a checkpoint, whose weights the algorithm has from then on."""
        policies = self._policies()
        weights, filters = weights_and_filters(checkpoint, policies)
        for name, policy in policies.items():
            policy.set_weights(weights[name])
        pool = pool_of(checkpoint) if self._algorithm.config.rlsif.opponent else Pool()
        self._begin(iteration, filters, pool)

    def _policies(self) -> dict[str, Any]:
        return {name: self._algorithm.get_policy(name) for name in self._env.views}

    def _begin(self, iteration: int, filters: Mapping[str, Any], pool: Pool) -> None:
        policies, opponent = self._policies(), fixed(self._algorithm.config.rlsif.opponent, pool)
        if self._player:
            # RLlib counts these steps, too.
            counted = {name: int(policy.global_timestep) for name, policy in policies.items()}
            self._add(iteration, self._player.play(policies, filters, opponent))
            for name, policy in policies.items():
                policy.on_global_var_update({"timestep": counted[name]})
            return
        self._collect(wait=True)
        weights = {name: policy.get_weights() for name, policy in policies.items()}
        self._playing = (iteration, self._actor.play.remote(weights, copy.deepcopy(filters), opponent))

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

    def __init__(
        self, env: FoundEnv, episodes: int, tasks: bool, opponent: str | None = None, learners: Sequence[str] = ()
    ) -> None:
        """Make as many environments as play at once; `opponent` and `learners` are those of a SamplingSpec."""
        beating(EVALUATION)
        with doing("making its environments"):
            self._environments = [make(env.ref) for _ in range(min(episodes, AT_ONCE))]
        self._env, self._episodes, self._tasks = env, episodes, Tasks(tasks)
        self._opponent, self._learners = opponent, learners

    def play(
        self, policies: Mapping[str, Any], filters: Mapping[str, Any], opponent: Opponent | None = None
    ) -> dict[str, Any]:
        """Play the episodes by the likeliest actions of RLlib's policies, which have names and may have filters.

        Give returns, lengths and seconds; against an opponent, which may be another run's, the returns are those of the
        run's own agents, of the episodes in which one took part, and how many were won is given, too.

        Raises RlsifError for an environment that fails.
        """
        began = time.monotonic()
        for task in self._tasks.new():
            for environment in self._environments:
                set_task(environment, task)
        slots = len(self._environments) * max(1, len(self._env.agents))
        given = policies, filters, self._env, slots
        alone = self._opponent is None
        if alone:
            agent = acting(*given)
        else:
            agent = acting_against(*given, self._learners, plays(opponent, self._env, slots, SEED))
        with doing("playing the episodes of --evaluate-every"):
            # The likeliest actions of an early policy may go in circles where none ends the episode.
            limits: Any = {} if self._env.max_episode_steps else {"most_steps": LEAST_OF_MOST_STEPS, "cut": True}
            episodes = play(agent, self._environments, self._episodes, SEED, True, agents=self._env.agents, **limits)
        played = {
            "returns": [episode.total_reward for episode in episodes],
            "lengths": [episode.length for episode in episodes],
            "seconds": time.monotonic() - began,
        }
        if alone:
            return played
        sides = episodes, self._env.agents, self._env.agents_of(self._learners)
        return {**played, "returns": duel.returns(*sides), "win_rate": duel.results(*sides)["win_rate"]}

    def close(self) -> None:
        """Close the environments."""
        for environment in self._environments:
            environment.close()


class Beside:
    """An actor that plays by policies of its own, which get the learner's weights."""

    def __init__(self, asked: Sequence[Any], states: Mapping[str, bytes], framework: str) -> None:
        """Make policies, and a player by what it is asked for."""
        self._policies = {name: of_state(state, framework, SEED) for name, state in states.items()}
        self._player = Player(*asked)

    def play(
        self, weights: Mapping[str, Any], filters: Mapping[str, Any], opponent: Opponent | None = None
    ) -> dict[str, Any]:
        """As a player does, with these weights."""
        for name, policy in self._policies.items():
            policy.set_weights(weights[name])
        return self._player.play(self._policies, filters, opponent)

"""An env runner for RLlib without TensorFlow: a quarter of the memory, and a third of the time to start.

What RLlib's algorithms ask of a RolloutWorker on its old API stack, and no more.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import secrets
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Optional

# RLlib says a hundred times that TensorFlow is not there.
logging.getLogger("ray.rllib.utils.framework").setLevel(logging.ERROR)

# ruff: noqa: E402
import numpy as np
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.evaluation.metrics import RolloutMetrics
from ray.rllib.policy.sample_batch import MultiAgentBatch, SampleBatch
from ray.rllib.utils.actor_manager import FaultAwareApply
from ray.rllib.utils.filter import get_filter

from rlsif import private_api
from rlsif.cluster import heartbeat, membership
from rlsif.cluster.failures import reporting
from rlsif.cluster.tasks import Tasks
from rlsif.envs import find, slots, vector
from rlsif.envs.adapted import policy_spaces
from rlsif.envs.duel import RANDOM
from rlsif.envs.metrics import ENV_TIME_SHARE, HISTORY, OF_AGENTS, WON
from rlsif.envs.processes import Processes
from rlsif.envs.progress import PROGRESS
from rlsif.envs.reference import EnvRef
from rlsif.errors import RlsifError
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.convolution import DIVIDES_PIXELS, default_filters
from rlsif.policies.spaces import WHITE
from rlsif.sampling.filters import REWARDS, Filtered, RewardScale
from rlsif.sampling.opponents import OPPONENTS, Opponents, Pool, won
from rlsif.sampling.samplers import Sampler
from rlsif.sampling.team import Team

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


@dataclass(frozen=True)
class SamplingSpec:
    """What an env runner must know beside RLlib's settings. Travels in the config, as `rlsif`."""

    env: EnvRef
    # None where RLlib samples.
    sampler: type[Sampler] | None
    # RLlib's own settings, which its sampler would use; it is told that there is nothing to do.
    normalize_actions: bool
    clip_actions: bool
    # The iteration that a resumed run begins after: seeds are not drawn again.
    resumed_at: int = 0
    # Whether the run may set tasks.
    tasks: bool = False
    # The names of the agents; none where an environment is one agent's.
    agents: tuple[str, ...] = ()
    # What tells the run from others on the same Ray.
    run: str = ""
    # The environment as each policy sees it, by the policy's name.
    views: Mapping[str, find.FoundEnv] = field(default_factory=dict)
    # RLlib's settings of the network of each policy, where there are several.
    models: Mapping[str, Any] = field(default_factory=dict)
    # In which an env runner steps its environments; 0: in its own.
    processes: int = 0
    # Whether rewards that are learned from are divided by the deviation of returns.
    normalize_rewards: bool = False
    # Who plays agents, as `--opponent` has it; None where all are the run's.
    opponent: str | None = None
    # Of several policies, those that learn where an opponent plays the others; else empty.
    learners: tuple[str, ...] = ()
    # In which hidden layers multiply where the learner's updates are compiled; sampling is in float32.
    precision: str = "float32"

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Have a program of one's own that loads a policy of RLlib's see images as the run did."""
        vars(self).update(state)
        if "tensorflow" in sys.modules:
            private_api.see_images(default_filters, DIVIDES_PIXELS, WHITE)


class Sampling:
    """A sampler for each policy with all that stands around it, as one env runner of an algorithm has it."""

    def __init__(
        self,
        config: AlgorithmConfig,
        worker_index: int,
        rllib_filters: Mapping[str, Any] | None = None,
        start: int = 0,
    ) -> None:
        """Make environments and samplers; `rllib_filters` are those to share, else new ones are made.

        `start` tells the starts of one env runner apart.
        """
        spec: SamplingSpec = config.rlsif
        number = config.num_envs_per_env_runner
        seeds, random, of_opponents = _seeds(config.seed, spec.resumed_at, start, worker_index, number)
        self._env, self._env_has_agents, self._tasks = spec.env, bool(spec.agents), Tasks(spec.tasks)
        create = functools.partial(find.make, spec.env, worker_index)
        parts = {name: _part(spec, view) for name, view in spec.views.items()}
        # By the names that the learner has for them.
        self.filters = rllib_filters or {
            **{name: get_filter(config.observation_filter, part.encoder.shape) for name, part in parts.items()},
            **filters_of_rewards(spec),
        }
        # The opponents of the run, which come with its weights.
        self.pool = Pool()
        if spec.opponent:
            parts = _opposed(spec, parts, self.pool, of_opponents)
        self._opponents = [part.player for part in parts.values() if isinstance(part.player, Opponents)]
        self._environments: vector.Environments | slots.Copies
        of_policies: Sequence[vector.Environments]
        if spec.agents:
            rotates = bool(spec.opponent) and not spec.learners
            copies = slots.Copies([create() for _ in range(number)], seeds, list(parts.values()), rotates)
            self._environments, of_policies = copies, copies.slots
        else:
            [part] = parts.values()
            made: vector.Environments
            if spec.processes:
                made = Processes(create, seeds, spec.processes, part.encoder, part.adapter)
            else:
                made = vector.make(spec.env, number, seeds, create, part.encoder, part.adapter)
            self._environments, of_policies = made, [made]
        self.samplers = {
            name: _sampler(config, worker_index, name, mine, parts[name], self.filters, random)
            for name, mine in zip((name for name, part in parts.items() if part.player is None), of_policies)
        }
        each = list(self.samplers.values())
        self.sampler = Team(copies, each) if spec.agents and each[1:] else each[0]
        # What sampling took since its metrics were told, and what the environments had taken before.
        self._seconds = self._env_seconds = 0.0

    def sample(self, fragments: int = 1) -> MultiAgentBatch:
        """A batch of experience, of so many fragments. Raises WrongValue, which names the environment."""
        for task in self._tasks.new():
            self._environments.set_task(task)
        began = time.perf_counter()
        try:
            given = self.sampler.sample(fragments)
        except vector.WrongValue as problem:
            raise vector.WrongValue(f"environment {self._env.name}: {problem}") from None
        finally:
            self._seconds += time.perf_counter() - began
        batches = [SampleBatch(rows) for rows in (given if isinstance(given, list) else [given])]
        if not self._env_has_agents:
            return batches[0].as_multi_agent()
        # RLlib, too, has none of a policy whose agents did not act.
        rows = {name: batch for name, batch in zip(self.samplers, batches) if len(batch)}
        return MultiAgentBatch(rows, self.sampler.env_steps)

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Take the weights of policies, by their names."""
        for name, sampler in self.samplers.items():
            # IMPALA sends those of the policies that were updated, which may be none.
            if name in weights:
                sampler.set_weights(weights[name])

    def set_timestep(self, timestep: int) -> None:
        """Take the count of all env steps, for schedules."""
        for sampler in self.samplers.values():
            sampler.timestep = timestep

    def set_fragment(self, steps: int) -> None:
        """Collect so many steps of every environment from now on."""
        for sampler in self.samplers.values():
            sampler.fragment = steps

    def close(self) -> None:
        """Close the environments."""
        self._environments.close()

    def metrics(self) -> list[RolloutMetrics]:
        """The episodes that ended since the last call, each with the environments' share of the time until now."""
        ended = self.sampler.episodes()
        results: Sequence[Mapping[str, Any]] = [{}] * len(ended)
        if self._opponents:
            others = zip(*(opponents.episodes() for opponents in self._opponents))
            # Not those that are between opponents alone.
            own = [each for each in zip(ended, others) if each[0].agents]
            ended, results = [e for e, _ in own], [{WON: [won(*each)]} for each in own]
        if not ended:
            return []
        # Opponents choose while the environments step.
        env_seconds = self.sampler.env_seconds - sum(opponents.seconds for opponents in self._opponents)
        share = {ENV_TIME_SHARE: (env_seconds - self._env_seconds) / self._seconds}
        self._seconds, self._env_seconds = 0.0, env_seconds
        return [
            RolloutMetrics(
                e.length,
                e.total_reward,
                perf_stats=share,
                hist_data={HISTORY: [e.metrics], OF_AGENTS: [e.agents], **result},
            )
            for e, result in zip(ended, results)
        ]


def _part(spec: SamplingSpec, view: find.FoundEnv) -> slots.Part:
    """What stands between a policy and the environment as it sees it."""
    adapter = ActionAdapter(view.actions, spec.normalize_actions, spec.clip_actions)
    return slots.Part(view.agents, masks.encoder_of(view.observations), adapter)


def _opposed(
    spec: SamplingSpec, parts: Mapping[str, slots.Part], pool: Pool, random: np.random.Generator
) -> dict[str, slots.Part]:
    """The parts of an environment of which an opponent plays some.

    Those of the policies that do not learn; where all agents share one policy, it plays all agents but one.
    """

    def opponents(name: str) -> Opponents:
        view, encoder = spec.views[name], parts[name].encoder
        actions, mask = policy_space(view.actions, spec.normalize_actions), masks.size_of(view.observations)
        return Opponents(None if spec.opponent == RANDOM else pool, actions, mask, encoder, random)

    if spec.learners:
        return {
            name: part if name in spec.learners else part._replace(player=opponents(name))
            for name, part in parts.items()
        }
    [(name, part)] = parts.items()
    theirs = part._replace(agents=("of the opponent",) * (len(part.agents) - 1), player=opponents(name))
    return {name: part._replace(agents=("of the run",)), "opponent": theirs}


def _sampler(
    config: AlgorithmConfig,
    worker_index: int,
    policy: str,
    environments: vector.Environments,
    part: slots.Part,
    filters: Mapping[str, Any],
    random: np.random.Generator,
) -> Sampler:
    """The sampler of a policy."""
    spec: SamplingSpec = config.rlsif
    assert spec.sampler is not None
    view = spec.views[policy]
    mask = masks.size_of(view.observations)
    return spec.sampler(
        environments,
        masks.without_filter_on_masks(Filtered(filters[policy]), mask),
        {**config.to_dict(), **({"model": spec.models[policy]} if spec.models else {})},
        policy_space(view.actions, spec.normalize_actions),
        config.get_rollout_fragment_length(worker_index),
        random,
        mask,
        part.encoder.seen,
        RewardScale(filters[REWARDS], config.gamma, config.num_envs_per_env_runner) if spec.normalize_rewards else None,
    )


def filters_of_rewards(spec: SamplingSpec) -> dict[str, Any]:
    """A new filter for the statistics of returns, by its name, where rewards are scaled by them."""
    return {REWARDS: get_filter("MeanStdFilter", (1,))} if spec.normalize_rewards else {}


def _seeds(
    seed: int | None, resumed_at: int, start: int, worker_index: int, number: int
) -> tuple[list[int | None], np.random.Generator, np.random.Generator]:
    """A seed for each copy of the environment, [number], and what the actions of policy and opponents are drawn by.

    Independent of those of other env runners, other seeds, and the same run before it was resumed.
    """
    if seed is None:
        return [None] * number, np.random.default_rng(), np.random.default_rng()
    sequence = np.random.SeedSequence(seed, spawn_key=(resumed_at, start, worker_index))
    of_policy, of_envs, of_opponents = sequence.spawn(3)
    seeds: list[int | None] = [int(s) for s in of_envs.generate_state(number, np.uint32) >> 1]
    return seeds, np.random.default_rng(of_policy), np.random.default_rng(of_opponents)


def beating(worker_index: int, run: str = "") -> None:
    """Let the run know from now on how far this env runner is, and what fails."""
    membership.belongs_to(run)
    PROGRESS.doing = "making its environments"
    heartbeat.start(worker_index, lambda: PROGRESS)


@contextlib.contextmanager
def doing(what: str) -> Iterator[None]:
    """Say what the environments do meanwhile."""
    PROGRESS.doing = what
    try:
        yield
    finally:
        PROGRESS.doing = "waiting"


class ArrayEnvRunner(FaultAwareApply):  # type: ignore[misc]
    """An actor that samples. Its first failure is reported to the run."""

    # RLlib takes one class for env runners and for the RolloutWorker in which the learner keeps its policy, which it
    # asks for by number 0. The learner's process says here what that is.
    of_learner: ClassVar[Optional[type]] = None

    def __new__(cls, *args: Any, worker_index: int = 1, **kwargs: Any) -> Any:
        """Give the learner what it keeps its policy in."""
        if worker_index == 0:
            if cls.of_learner is None:
                raise RlsifError(
                    "Algorithm.from_checkpoint cannot build a run of `train`; Policy.from_checkpoint gives its policy,"
                    " `train --resume` its algorithm"
                )
            return cls.of_learner(*args, worker_index=0, **kwargs)
        return super().__new__(cls)

    @reporting
    def __init__(self, *, config: AlgorithmConfig, worker_index: int, **_: Any) -> None:
        """Take RolloutWorker's arguments."""
        self.config, self.worker_index = config, worker_index
        beating(worker_index, config.rlsif.run)
        # Ray starts an actor that was lost with the same arguments; its seeds are to be others.
        lost_before = private_api.was_restarted()
        self._sampling = Sampling(config, worker_index, start=secrets.randbits(32) if lost_before else 0)
        self._spaces = config.observation_space, config.action_space
        # Which the weights of each policy have seen.
        self._updates: dict[str, int] = {}
        PROGRESS.doing = "waiting"

    @reporting
    def sample(
        self,
        fragments: int = 1,
        weights: Mapping[str, Any] | None = None,
        global_vars: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> MultiAgentBatch:
        """A batch of experience, of so many fragments; by new weights where they come with the call."""
        if weights is not None:
            self.set_weights(weights, global_vars)
        with doing("stepping its environments"):
            batch = self._sampling.sample(fragments)
        for name, rows in batch.policy_batches.items():
            rows.num_grad_updates = self._updates.get(name, 0)
        return batch

    def get_metrics(self) -> list[RolloutMetrics]:
        """The episodes that ended since the last call."""
        return self._sampling.metrics()

    @reporting
    def set_weights(self, weights: Mapping[str, Any], global_vars: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Take the learner's weights, and its count of env steps."""
        self._sampling.set_weights(weights)
        if global_vars:
            self.set_global_vars(global_vars)

    def set_global_vars(self, global_vars: Mapping[str, Any], **_: Any) -> None:
        """Take the count of all env steps, and of the updates that the weights have seen."""
        self._sampling.set_timestep(int(global_vars["timestep"]))
        self._updates.update(global_vars.get("num_grad_updates_per_policy", {}))

    @reporting
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over where an env runner that failed has left off, from the learner's state."""
        policies = {name: state["policy_states"][name] for name in self._sampling.samplers}
        self._sampling.set_weights({name: policy["weights"] for name, policy in policies.items()})
        self._sampling.set_timestep(max(int(policy["global_timestep"]) for policy in policies.values()))
        self._updates = {name: int(policy["num_grad_updates"]) for name, policy in policies.items()}
        self.sync_filters(state["filters"])
        if OPPONENTS in state:
            self.set_opponents(state[OPPONENTS])

    @reporting
    def set_opponents(self, pool: Pool) -> None:
        """Take the opponents that the learner has for its env runners."""
        self._sampling.pool.take(pool)

    def get_filters(self, flush_after: bool = False) -> dict[str, Any]:
        """The filters of observations and rewards, with what they saw since the last flush."""
        mine = {name: each.as_serializable() for name, each in self._sampling.filters.items()}
        if flush_after:
            for each in self._sampling.filters.values():
                each.reset_buffer()
        return mine

    def sync_filters(self, new_filters: Mapping[str, Any]) -> None:
        """Take the learner's filters, which know what all env runners saw."""
        # The learner has none where nothing is filtered.
        for name in self._sampling.filters.keys() & new_filters.keys():
            mine = self._sampling.filters[name]
            seen_since = getattr(mine, "buffer", None)
            mine.sync(new_filters[name])
            # One that samples ahead has seen more since it was asked.
            if seen_since is not None and seen_since.num_pushes:
                mine.running_stats.update(seen_since)
                mine.buffer = seen_since

    def set_fragment(self, steps: int) -> None:
        """Collect so many steps of every environment from now on."""
        self._sampling.set_fragment(steps)

    def get_spaces(self) -> dict[str, tuple[Any, Any]]:
        """Spaces of observations and actions, of policy and environment."""
        spec: SamplingSpec = self.config.rlsif
        of_policies = {name: policy_spaces(view, spec.normalize_actions) for name, view in spec.views.items()}
        return {**of_policies, INPUT_ENV_SPACES: self._spaces}

    def assert_healthy(self) -> None:
        """Say by answering that this env runner is there."""

    def stop(self) -> None:
        """Close the environments."""
        self._sampling.close()

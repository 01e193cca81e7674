"""An env runner for RLlib without TensorFlow: a quarter of the memory, and a third of the time to start.

What RLlib's algorithms ask of a RolloutWorker on its old API stack, and no more.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Optional

# RLlib says a hundred times that TensorFlow is not there.
logging.getLogger("ray.rllib.utils.framework").setLevel(logging.ERROR)

# ruff: noqa: E402
import numpy as np
import ray
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.evaluation.metrics import RolloutMetrics
from ray.rllib.policy.sample_batch import DEFAULT_POLICY_ID, MultiAgentBatch, SampleBatch
from ray.rllib.utils.actor_manager import FaultAwareApply
from ray.rllib.utils.filter import get_filter

from rlsif import private_api
from rlsif.cluster import heartbeat, membership
from rlsif.cluster.failures import reporting
from rlsif.cluster.tasks import Tasks
from rlsif.envs import find, slots, vector
from rlsif.envs.metrics import ENV_TIME_SHARE, HISTORY, OF_AGENTS
from rlsif.envs.processes import Processes
from rlsif.envs.progress import PROGRESS
from rlsif.envs.reference import EnvRef
from rlsif.envs.spaces import plain
from rlsif.errors import RlsifError
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.spaces import ActionMask
from rlsif.sampling.filters import REWARDS, Filtered, RewardScale
from rlsif.sampling.samplers import Sampler

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


@dataclass(frozen=True)
class SamplingSpec:
    """What an env runner must know beside RLlib's settings. Travels in the config, as `rlsif`."""

    env: EnvRef
    # Of the environment, as Gymnasium has them.
    observation_space: Any
    action_space: Any
    # None where RLlib samples.
    sampler: type[Sampler] | None
    # RLlib's own settings, which its sampler would use; it is told that there is nothing to do.
    normalize_actions: bool
    clip_actions: bool
    # The iteration that a resumed run begins after: seeds are not drawn again.
    resumed_at: int = 0
    # Of the environment.
    mask: ActionMask | None = None
    # Whether the run may set tasks.
    tasks: bool = False
    # The names of the agents that share the policy; none where an environment is one agent's.
    agents: tuple[str, ...] = ()
    # What tells the run from others on the same Ray.
    run: str = ""
    # The environment as each policy sees it, by the policy's name.
    views: Mapping[str, find.FoundEnv] = field(default_factory=dict)
    # In which an env runner steps its environments; 0: in its own.
    processes: int = 0
    # Whether rewards that are learned from are divided by the deviation of returns.
    normalize_rewards: bool = False


class Sampling:
    """A sampler with all that stands around it, as one env runner of an algorithm has it."""

    def __init__(
        self,
        config: AlgorithmConfig,
        worker_index: int,
        rllib_filters: Mapping[str, Any] | None = None,
        start: int = 0,
    ) -> None:
        """Make environments and sampler; `rllib_filters` are those to share, else new ones are made.

        `start` tells the starts of one env runner apart.
        """
        spec: SamplingSpec = config.rlsif
        assert spec.sampler is not None
        observations, actions = masks.masked(plain(spec.observation_space), spec.mask), plain(spec.action_space)
        encoder, mask = masks.encoder_of(observations), masks.size_of(observations)
        adapter = ActionAdapter(actions, spec.normalize_actions, spec.clip_actions)
        filters = rllib_filters or {DEFAULT_POLICY_ID: get_filter(config.observation_filter, encoder.shape)}
        # By the names that the learner has for them.
        self.filters = {**filters, **({} if rllib_filters else filters_of_rewards(spec))}
        number = config.num_envs_per_env_runner
        seeds, random = _seeds(config.seed, spec.resumed_at, start, worker_index, number)
        self._env, self._tasks = spec.env, Tasks(spec.tasks)
        create = functools.partial(find.make, spec.env, worker_index)
        made: vector.Environments
        if spec.agents:
            made = slots.Slots([create() for _ in range(number)], seeds, encoder, adapter)
        elif spec.processes:
            made = Processes(create, seeds, spec.processes, encoder, adapter)
        else:
            made = vector.make(spec.env, number, seeds, create, encoder, adapter)
        self._environments = made
        self.sampler = spec.sampler(
            self._environments,
            masks.without_filter_on_masks(Filtered(self.filters[DEFAULT_POLICY_ID]), mask),
            config.to_dict(),
            policy_space(actions, spec.normalize_actions),
            config.get_rollout_fragment_length(worker_index),
            random,
            mask,
            encoder.seen,
            RewardScale(self.filters[REWARDS], config.gamma, number) if spec.normalize_rewards else None,
        )
        # What sampling took since its metrics were told, and what the environments had taken before.
        self._seconds = self._env_seconds = 0.0

    def sample(self, fragments: int = 1) -> MultiAgentBatch:
        """A batch of experience, of so many fragments. Raises WrongValue, which names the environment."""
        for task in self._tasks.new():
            self._environments.set_task(task)
        began = time.perf_counter()
        try:
            rows = SampleBatch(self.sampler.sample(fragments))
        except vector.WrongValue as problem:
            raise vector.WrongValue(f"environment {self._env.name}: {problem}") from None
        finally:
            self._seconds += time.perf_counter() - began
        if not self._environments.agents:
            return rows.as_multi_agent()
        return MultiAgentBatch({DEFAULT_POLICY_ID: rows}, self.sampler.env_steps)

    def metrics(self) -> list[RolloutMetrics]:
        """The episodes that ended since the last call, each with the environments' share of the time until now."""
        ended = self.sampler.episodes()
        if not ended:
            return []
        share = {ENV_TIME_SHARE: (self.sampler.env_seconds - self._env_seconds) / self._seconds}
        self._seconds, self._env_seconds = 0.0, self.sampler.env_seconds
        return [
            RolloutMetrics(
                e.length, e.total_reward, perf_stats=share, hist_data={HISTORY: [e.metrics], OF_AGENTS: [e.agents]}
            )
            for e in ended
        ]


def filters_of_rewards(spec: SamplingSpec) -> dict[str, Any]:
    """A new filter for the statistics of returns, by its name, where rewards are scaled by them."""
    return {REWARDS: get_filter("MeanStdFilter", (1,))} if spec.normalize_rewards else {}


def _seeds(
    seed: int | None, resumed_at: int, start: int, worker_index: int, number: int
) -> tuple[list[int | None], np.random.Generator]:
    """A seed for each copy of the environment, [number], and what the policy's actions are drawn by.

    Independent of those of other env runners, other seeds, and the same run before it was resumed.
    """
    if seed is None:
        return [None] * number, np.random.default_rng()
    sequence = np.random.SeedSequence(seed, spawn_key=(resumed_at, start, worker_index))
    of_policy, of_envs = sequence.spawn(2)
    return [int(s) for s in of_envs.generate_state(number, np.uint32) >> 1], np.random.default_rng(of_policy)


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
        lost_before = ray.is_initialized() and private_api.was_restarted()
        self._sampling = Sampling(config, worker_index, start=secrets.randbits(32) if lost_before else 0)
        self._spaces = config.observation_space, config.action_space
        # Which the weights have seen.
        self._updates = 0
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
        batch.policy_batches[DEFAULT_POLICY_ID].num_grad_updates = self._updates
        return batch

    def get_metrics(self) -> list[RolloutMetrics]:
        """The episodes that ended since the last call."""
        return self._sampling.metrics()

    @reporting
    def set_weights(self, weights: Mapping[str, Any], global_vars: Mapping[str, Any] | None = None, **_: Any) -> None:
        """Take the learner's weights, and its count of env steps."""
        # IMPALA sends those of the policies that were updated, which may be none.
        if DEFAULT_POLICY_ID in weights:
            self._sampling.sampler.set_weights(weights[DEFAULT_POLICY_ID])
        if global_vars:
            self.set_global_vars(global_vars)

    def set_global_vars(self, global_vars: Mapping[str, Any], **_: Any) -> None:
        """Take the count of all env steps, and of the updates that the weights have seen."""
        self._sampling.sampler.timestep = int(global_vars["timestep"])
        updates = global_vars.get("num_grad_updates_per_policy", {})
        self._updates = int(updates.get(DEFAULT_POLICY_ID, self._updates))

    @reporting
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over where an env runner that failed has left off, from the learner's state."""
        policy = state["policy_states"][DEFAULT_POLICY_ID]
        self._sampling.sampler.set_weights(policy["weights"])
        self._sampling.sampler.timestep = int(policy["global_timestep"])
        self._updates = int(policy["num_grad_updates"])
        self.sync_filters(state["filters"])

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
            self._sampling.filters[name].sync(new_filters[name])

    def set_fragment(self, steps: int) -> None:
        """Collect so many steps of every environment from now on."""
        self._sampling.sampler.fragment = steps

    def get_spaces(self) -> dict[str, tuple[Any, Any]]:
        """Spaces of observations and actions, of policy and environment."""
        return dict.fromkeys((DEFAULT_POLICY_ID, INPUT_ENV_SPACES), self._spaces)

    def assert_healthy(self) -> None:
        """Say by answering that this env runner is there."""

    def stop(self) -> None:
        """Close the environments."""
        self._sampling.sampler.close()

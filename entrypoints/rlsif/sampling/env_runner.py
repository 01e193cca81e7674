"""An env runner for RLlib without TensorFlow: a quarter of the memory, and a third of the time to start.

What RLlib's algorithms ask of a RolloutWorker on its old API stack, and no more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

# RLlib says a hundred times that TensorFlow is not there.
logging.getLogger("ray.rllib.utils.framework").setLevel(logging.ERROR)

# ruff: noqa: E402
import gymnasium
import numpy as np
from ray.rllib.env import INPUT_ENV_SPACES
from ray.rllib.env.env_context import EnvContext
from ray.rllib.evaluation.metrics import RolloutMetrics
from ray.rllib.policy.sample_batch import DEFAULT_POLICY_ID, MultiAgentBatch, SampleBatch
from ray.rllib.utils.actor_manager import FaultAwareApply
from ray.rllib.utils.filter import get_filter

from rlsif.cluster.failures import reporting
from rlsif.envs import vector as environments
from rlsif.policies.actions import to_env
from rlsif.policies.distributions import Categorical, DiagonalGaussian, EpsilonGreedy
from rlsif.sampling.filters import Filtered
from rlsif.sampling.samplers import DQNSampler, Features, PPOSampler, Sampler, VTraceSampler

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


class Sampling:
    """A sampler with all that stands around it, as one env runner of an algorithm has it."""

    def __init__(
        self,
        config: AlgorithmConfig,
        env_creator: Callable[[Any], Any],
        worker_index: int,
        rllib_filter: Any = None,
    ) -> None:
        """Make environments and sampler; `rllib_filter` is one to share, else a new one is made."""
        context = EnvContext(config.env_config, worker_index=worker_index)
        env = env_creator(context)
        self.spaces = env.observation_space, env.action_space
        env.close()
        features = Features(env.observation_space)
        if rllib_filter is None:
            [example] = features(np.array([env.observation_space.sample()]))
            rllib_filter = get_filter(config.observation_filter, example.shape)
        self.filter = rllib_filter
        number = config.num_envs_per_env_runner
        seed = None if config.seed is None else config.seed + worker_index * number
        sampler, distribution = _sampler_and_distribution(config, env.action_space)
        self.sampler = sampler(
            environments.make(config.env, dict(config.env_config), number, seed, lambda: env_creator(context)),
            features,
            Filtered(rllib_filter),
            to_env(config.normalize_actions, config.clip_actions, env.action_space),
            config.to_dict(),
            config.get_rollout_fragment_length(worker_index),
            np.random.default_rng(seed),
            distribution,
        )

    def sample(self) -> MultiAgentBatch:
        """A batch of experience."""
        return SampleBatch(self.sampler.sample()).as_multi_agent()

    def metrics(self) -> list[RolloutMetrics]:
        """The episodes that ended since the last call."""
        return [RolloutMetrics(e.length, e.total_reward) for e in self.sampler.episodes()]


def _sampler_and_distribution(config: AlgorithmConfig, space: gymnasium.spaces.Space[Any]) -> tuple[type[Sampler], Any]:
    """The sampler of an algorithm, and how it draws actions."""
    algo = config.algo_class.__name__
    if algo == "DQN":
        settings = {name: value for name, value in config.exploration_config.items() if name != "type"}
        return DQNSampler, EpsilonGreedy(**settings)
    distribution = DiagonalGaussian() if isinstance(space, gymnasium.spaces.Box) else Categorical()
    return PPOSampler if algo == "PPO" else VTraceSampler, distribution


class ArrayEnvRunner(FaultAwareApply):  # type: ignore[misc]
    """An actor that samples. Its first failure is reported to the run."""

    def __new__(cls, *args: Any, worker_index: int = 1, **kwargs: Any) -> Any:
        """Give the learner, which asks for number 0, a RolloutWorker: it keeps the policy there."""
        if worker_index == 0:
            from rlsif.learning.rollout_worker import LearnersEnvRunner

            return LearnersEnvRunner(*args, worker_index=0, **kwargs)
        return super().__new__(cls)

    @reporting
    def __init__(
        self, *, env_creator: Callable[[Any], Any], config: AlgorithmConfig, worker_index: int, **_: Any
    ) -> None:
        """Take RolloutWorker's arguments."""
        self.config, self.worker_index = config, worker_index
        self._sampling = Sampling(config, env_creator, worker_index)

    @reporting
    def sample(self, **_: Any) -> MultiAgentBatch:
        """A batch of experience."""
        return self._sampling.sample()

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
        """Take the count of all env steps."""
        self._sampling.sampler.timestep = int(global_vars["timestep"])

    @reporting
    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over where an env runner that failed has left off, from the learner's state."""
        policy = state["policy_states"][DEFAULT_POLICY_ID]
        self._sampling.sampler.set_weights(policy["weights"])
        self._sampling.sampler.timestep = int(policy["global_timestep"])
        self.sync_filters(state["filters"])

    def get_filters(self, flush_after: bool = False) -> dict[str, Any]:
        """The observation filter, with what it saw since the last flush."""
        mine = {DEFAULT_POLICY_ID: self._sampling.filter.as_serializable()}
        if flush_after:
            self._sampling.filter.reset_buffer()
        return mine

    def sync_filters(self, new_filters: Mapping[str, Any]) -> None:
        """Take the learner's filter, which knows what all env runners saw."""
        # The learner has none where nothing is filtered.
        if DEFAULT_POLICY_ID in new_filters:
            self._sampling.filter.sync(new_filters[DEFAULT_POLICY_ID])

    def set_fragment(self, steps: int) -> None:
        """Collect so many steps of every environment from now on."""
        self._sampling.sampler.fragment = steps

    def get_spaces(self) -> dict[str, tuple[Any, Any]]:
        """Spaces of observations and actions, of policy and environment."""
        return dict.fromkeys((DEFAULT_POLICY_ID, INPUT_ENV_SPACES), self._sampling.spaces)

    def assert_healthy(self) -> None:
        """Say by answering that this env runner is there."""

    def stop(self) -> None:
        """Close the environments."""
        self._sampling.sampler.close()

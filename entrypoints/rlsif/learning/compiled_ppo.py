"""PPO with all minibatches of an update in one call of TensorFlow's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.execution.rollout_ops import standardize_fields, synchronous_parallel_sample
from ray.rllib.utils.metrics import (
    LEARN_ON_BATCH_TIMER,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_TRAINED,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_TRAINED,
    NUM_GRAD_UPDATES_LIFETIME,
    SAMPLE_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
)
from ray.rllib.utils.metrics.learner_info import LEARNER_STATS_KEY

from rlsif import private_api
from rlsif.learning.compiled_update import CompiledUpdate
from rlsif.learning.xla import begins


class CompiledPPO(Algorithm):  # type: ignore[misc]
    """PPO with all minibatches of an update in one call of TensorFlow's."""

    def setup(self, config: Any) -> None:
        """Compile the update, where it can be."""
        super().setup(config)
        policies = {name: self.get_policy(name) for name in self.config.policies_to_train or self.config.policies}
        recurrent = any(policy.is_recurrent() for policy in policies.values())
        fits = self.config.framework_str == "tf" and not recurrent
        self._updates = {name: self._compiled(policy) for name, policy in policies.items()} if fits else {}

    def _compiled(self, policy: Any) -> CompiledUpdate:
        return CompiledUpdate(policy, begins(policy, self.config, self._minibatch_size))

    def training_step(self) -> Any:
        """Sample, update, and send the weights, as PPO of RLlib does."""
        if not self._updates:
            return super().training_step()
        for update in self._updates.values():
            update.warm_up(self._minibatch_size)
        timers, counters = private_api.timers(self), private_api.counters(self)
        with timers[SAMPLE_TIMER]:
            batch = synchronous_parallel_sample(
                worker_set=self.env_runner_group,
                max_env_steps=self.config.total_train_batch_size,
                sample_timeout_s=self.config.sample_timeout_s,
            )
            # All env runners have failed.
            if not batch:
                return {}
            batch = standardize_fields(batch.as_multi_agent(), ["advantages"])
        for counter in (NUM_ENV_STEPS_SAMPLED, NUM_ENV_STEPS_TRAINED):
            counters[counter] += batch.env_steps()
        for counter in (NUM_AGENT_STEPS_SAMPLED, NUM_AGENT_STEPS_TRAINED):
            counters[counter] += batch.agent_steps()
        with timers[LEARN_ON_BATCH_TIMER]:
            statistics = self._updated(batch.policy_batches)
        policies = {name: self.get_policy(name) for name in statistics}
        counts = {
            "timestep": counters[NUM_AGENT_STEPS_SAMPLED],
            "num_grad_updates_per_policy": {name: policy.num_grad_updates for name, policy in policies.items()},
        }
        with timers[SYNCH_WORKER_WEIGHTS_TIMER]:
            self.env_runner_group.sync_weights(policies=list(policies), global_vars=counts)
        for name, policy in policies.items():
            policy.update_kl(statistics[name]["kl"])
        self.env_runner.set_global_vars(counts)
        return {
            name: {LEARNER_STATS_KEY: statistics[name], NUM_GRAD_UPDATES_LIFETIME: policy.num_grad_updates}
            for name, policy in policies.items()
        }

    def _updated(self, batches: Mapping[str, Any]) -> dict[str, dict[str, float]]:
        """Update each policy that learns and has rows; give the statistics of each."""
        epochs, size = self.config.num_epochs, self._minibatch_size
        return {name: update(batches[name], epochs, size) for name, update in self._updates.items() if name in batches}

    @property
    def _minibatch_size(self) -> int:
        return int(self.config.minibatch_size or self.config.train_batch_size)

"""PPO with all minibatches of an update in one call of TensorFlow's."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.execution.rollout_ops import standardize_fields, synchronous_parallel_sample
from ray.rllib.policy.sample_batch import DEFAULT_POLICY_ID
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


class CompiledPPO(Algorithm):  # type: ignore[misc]
    """PPO with all minibatches of an update in one call of TensorFlow's."""

    def setup(self, config: Any) -> None:
        """Compile the update, where it can be."""
        super().setup(config)
        policy = self.get_policy()
        fits = self.config.framework_str == "tf" and self.config.num_gpus <= 1 and not policy.is_recurrent()
        self._update = CompiledUpdate(policy) if fits else None

    def training_step(self) -> Any:
        """Sample, update, and send the weights, as PPO of RLlib does."""
        if self._update is None:
            return super().training_step()
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
            statistics = self._update(
                batch.policy_batches[DEFAULT_POLICY_ID],
                self.config.num_epochs,
                self.config.minibatch_size or self.config.train_batch_size,
            )
        policy = self.get_policy()
        counts = {
            "timestep": counters[NUM_AGENT_STEPS_SAMPLED],
            "num_grad_updates_per_policy": {DEFAULT_POLICY_ID: policy.num_grad_updates},
        }
        with timers[SYNCH_WORKER_WEIGHTS_TIMER]:
            self.env_runner_group.sync_weights(policies=[DEFAULT_POLICY_ID], global_vars=counts)
        policy.update_kl(statistics["kl"])
        self.env_runner.set_global_vars(counts)
        return {
            DEFAULT_POLICY_ID: {
                LEARNER_STATS_KEY: statistics,
                NUM_GRAD_UPDATES_LIFETIME: policy.num_grad_updates,
            }
        }

"""RLlib's algorithms with what is wrong with them mended, and with what they need to be fast.

Imported in processes that run RLlib with TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
import ray
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.execution.rollout_ops import standardize_fields, synchronous_parallel_sample
from ray.rllib.policy.sample_batch import DEFAULT_POLICY_ID
from ray.rllib.utils.from_config import from_config
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
from ray.rllib.utils.replay_buffers import ReplayBuffer

from rlsif.learning.compiled_update import CompiledUpdate


def algorithm_class(algo: str) -> type[Algorithm]:
    """The class of an algorithm, by RLlib's name of it."""
    theirs = getattr(import_module(f"ray.rllib.algorithms.{algo.lower()}"), algo)
    mixins = {"PPO": (CompiledPPO,), "DQN": (OwnReplayBuffer,)}.get(algo, ())
    return type(algo, (*mixins, Mended, theirs), {})


class Mended(Algorithm):  # type: ignore[misc]
    """What every algorithm needs."""

    def setup(self, config: Any) -> None:
        """Let the learner do with the columns that it reads; RLlib's asks for more."""
        super().setup(config)
        policy = self.get_policy()
        if self.config.framework_str == "tf":
            theirs = policy._get_loss_inputs_dict

            def with_columns(batch: Any, shuffle: bool) -> Any:
                for name, placeholder in policy._loss_input_dict_no_rnn.items():
                    if name not in batch:
                        shape = [len(batch), *placeholder.shape.as_list()[1:]]
                        batch[name] = np.zeros(shape, placeholder.dtype.as_numpy_dtype)
                return theirs(batch, shuffle=shuffle)

            policy._get_loss_inputs_dict = with_columns

    def _setup_logdir(self) -> None:
        """Use the folder of Ray's session; RLlib leaves an empty one in ~/ray_results for every run."""
        self._logdir = ray._private.worker.global_worker.node.get_logs_dir_path()

    def _sync_filters_if_needed(self, *, central_worker: Any, workers: Any, config: Any) -> None:
        """Spare every env runner two calls an iteration where there is nothing to sync."""
        if config.observation_filter != "NoFilter":
            super()._sync_filters_if_needed(central_worker=central_worker, workers=workers, config=config)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Restore what RLlib leaves out: the count of updates and, with tf2, the optimizer's variables."""
        saved = state["worker"]["policy_states"]
        if self.config.framework_str == "tf2":
            # Keras makes an optimizer's variables with its first update; RLlib restores those that are there.
            for name, policy_state in saved.items():
                policy, variables = self.get_policy(name), policy_state["_optimizer_variables"]
                if variables:
                    policy._optimizer.build(_trained_variables(policy, variables))
        super().__setstate__(state)
        for name, policy_state in saved.items():
            self.get_policy(name).num_grad_updates = policy_state["num_grad_updates"]


class OwnReplayBuffer(Algorithm):  # type: ignore[misc]
    """For DQN."""

    def _create_local_replay_buffer_if_necessary(self, config: Any) -> Any:
        """Make the buffer of the settings; DQN adds settings of prioritized buffers, which others refuse."""
        return from_config(ReplayBuffer, dict(config["replay_buffer_config"]))


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
        with self._timers[SAMPLE_TIMER]:
            batch = synchronous_parallel_sample(
                worker_set=self.env_runner_group,
                max_env_steps=self.config.total_train_batch_size,
                sample_timeout_s=self.config.sample_timeout_s,
            )
            # All env runners have failed.
            if not batch:
                return {}
            batch = standardize_fields(batch.as_multi_agent(), ["advantages"])
        steps = batch.env_steps()
        for counter in (NUM_AGENT_STEPS_SAMPLED, NUM_ENV_STEPS_SAMPLED, NUM_AGENT_STEPS_TRAINED, NUM_ENV_STEPS_TRAINED):
            self._counters[counter] += steps
        with self._timers[LEARN_ON_BATCH_TIMER]:
            statistics = self._update(
                batch.policy_batches[DEFAULT_POLICY_ID],
                self.config.num_epochs,
                self.config.minibatch_size or self.config.train_batch_size,
            )
        policy = self.get_policy()
        counts = {
            "timestep": self._counters[NUM_AGENT_STEPS_SAMPLED],
            "num_grad_updates_per_policy": {DEFAULT_POLICY_ID: policy.num_grad_updates},
        }
        with self._timers[SYNCH_WORKER_WEIGHTS_TIMER]:
            self.env_runner_group.sync_weights(policies=[DEFAULT_POLICY_ID], global_vars=counts)
        policy.update_kl(statistics["kl"])
        self.env_runner.set_global_vars(counts)
        return {
            DEFAULT_POLICY_ID: {
                LEARNER_STATS_KEY: statistics,
                NUM_GRAD_UPDATES_LIFETIME: policy.num_grad_updates,
            }
        }


def _trained_variables(policy: Any, optimizer_variables: list[Any]) -> list[Any]:
    """The model's variables that an Adam has trained, told by the shapes of its own.

    Those are its count of updates, then two for each variable that had a gradient, in the model's order.
    DQN's model has a value head that never gets one.
    """
    model = iter(policy.model.trainable_variables())
    shapes = [tuple(moment.shape) for moment in optimizer_variables[1::2]]
    return [next(v for v in model if tuple(v.shape) == shape) for shape in shapes]

"""DQN and its like with replay buffers of arrays, and all updates of a training step in one call of TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ray.rllib.algorithms.dqn.dqn import calculate_rr_weights
from ray.rllib.utils.metrics import (
    LAST_TARGET_UPDATE_TS,
    LEARN_ON_BATCH_TIMER,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_TRAINED,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_TRAINED,
    NUM_GRAD_UPDATES_LIFETIME,
    NUM_TARGET_UPDATES,
    SAMPLE_TIMER,
    SYNCH_WORKER_WEIGHTS_TIMER,
)
from ray.rllib.utils.metrics.learner_info import LEARNER_STATS_KEY

from rlsif import private_api
from rlsif.cluster.resources import available
from rlsif.learning.compiled_replay import CompiledReplay, together
from rlsif.learning.replay_buffer import (
    WEIGHTS,
    ArrayReplayBuffer,
    Priorities,
    ReplayBuffers,
    check_memory,
    gigabytes,
    row_bytes,
)
from rlsif.learning.rounds import Rounds
from rlsif.learning.saved_rows import SavedRows

# RLlib's buffers that ArrayReplayBuffer stands for, and whether they are prioritized.
BUFFERS = {"MultiAgentReplayBuffer": False, "MultiAgentPrioritizedReplayBuffer": True}
# Their settings that must have this value, where they are given.
BUFFER_NEEDS: Mapping[str, Any] = {
    "storage_unit": "timesteps", "replay_sequence_length": 1, "replay_burn_in": 0, "replay_mode": "independent",
    "num_shards": 1, "worker_side_prioritization": False, "underlying_buffer_config": None,
}  # fmt: skip
PRIORITIES = ("alpha", "beta", "eps")
BUFFER_SETTINGS = {"type", "capacity", *BUFFER_NEEDS, *PRIORITIES, *(f"prioritized_replay_{n}" for n in PRIORITIES)}
# A round has at most so many env steps and updates, by which the weights that sample are behind.
MOST_STEPS, MOST_UPDATES = 256, 64
# The part of the memory that a replay buffer may take; the rest is for the processes.
SHARE_OF_MEMORY = 0.75


def uncompiled(config: Any) -> str | None:
    """Why RLlib makes the updates, one call each; None where they are made together."""
    buffer = config.replay_buffer_config
    kind = kind_of(buffer)
    other = {name: buffer[name] for name, needed in BUFFER_NEEDS.items() if buffer.get(name, needed) != needed}
    unknown = {name: value for name, value in buffer.items() if name not in BUFFER_SETTINGS}
    reasons = {
        f"framework {config.framework_str}": config.framework_str != "tf",
        "a recurrent network": config.model["use_lstm"] or config.model["use_attention"],
        f"the replay buffer {kind}": kind not in BUFFERS,
        f"replay_buffer_config has {other or unknown}": bool(other or unknown),
        "before_learn_on_batch": config.get("before_learn_on_batch") is not None,
        f"num_epochs={config.num_epochs}": config.num_epochs != 1,
        f"minibatch_size={config.minibatch_size}": config.minibatch_size is not None,
        "noisy=True": config.get("noisy", False),
        "ParameterNoise": config.exploration_config.get("type") == "ParameterNoise",
        "off_policy_estimation_methods": bool(config.off_policy_estimation_methods),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


@dataclass(frozen=True)
class Round:
    """Training steps of RLlib's that are made at once: fragments of each env runner, env steps of all, and updates."""

    times: int
    fragments: int
    steps: int
    updates: int


class CompiledOffPolicy(private_api.hooks()):  # type: ignore[misc]
    """DQN and its like, with a replay buffer of arrays and all updates of a training step in one call a policy."""

    def setup(self, config: Any) -> None:
        """Compile the updates, where they can be, while env runners start to sample."""
        super().setup(config)
        self._uncompiled, self._saved_rows = uncompiled(self.config), list[SavedRows]()
        if self._uncompiled:
            return
        if self.config.store_buffer_in_checkpoints:
            self._saved_rows = [SavedRows(buffer, folder) for folder, buffer in self.local_replay_buffer.by_folder()]
        self._check_buffers_fit()
        self._round = self._of_round()
        self._sampling = Rounds(self.env_runner_group, self._round.fragments)
        # Of the policies that learn, by name.
        self._updates = {name: self._compiled(self.get_policy(name)) for name in self._learners}
        resumed_at = self.config.rlsif.resumed_at
        seed = None if self.config.seed is None else [self.config.seed, resumed_at]
        self._random = np.random.default_rng(seed)
        for update in self._updates.values():
            update.warm_up(self._round.updates, self.config.total_train_batch_size)

    @property
    def _learners(self) -> list[str]:
        return list(self.config.policies_to_train or self.config.policies)

    def _compiled(self, policy: Any) -> CompiledReplay:
        # On CPUs, XLA makes DQN's updates 1 to 3 % faster, and compiles them for 4 to 12 s of a core. SAC's loss draws
        # actions, and those of XLA would not go by the run's seed.
        return CompiledReplay(policy, xla=bool(self.config.num_gpus))

    def replay_buffer(self, config: Any, theirs: Callable[[Any], Any]) -> Any:
        """Make buffers of arrays, where RLlib does not make the updates."""
        if uncompiled(self.config):
            return super().replay_buffer(config, theirs)
        settings = self.config.replay_buffer_config
        priorities = priorities_of(settings) if BUFFERS[kind_of(settings)] else None
        of_one = int(settings["capacity"]), priorities, _memory_for_rows()
        return ReplayBuffers({name: ArrayReplayBuffer(*of_one) for name in self._learners})

    def notes(self) -> list[str]:
        """What the first lines of a run tell: updates per env step, how they are made, and the replay buffer."""
        config, one, several = self.config, self._of_round(), len(self._learners) > 1
        many, each = "update" if one.updates == one.steps else "updates", " and policy" if several else ""
        ratio = f"{one.updates / one.steps:.3g} {many} of {config.total_train_batch_size} rows for each env step{each}"
        if self._uncompiled:
            return [f"{ratio}, by RLlib one after the other, for {self._uncompiled}"]
        capacity, size = self.local_replay_buffer.capacity, gigabytes(self._bytes_of_buffers())
        saved = ", saved with checkpoints" if self._saved_rows else ""
        buffers = f"{len(self._learners)} replay buffers" if several else "a replay buffer"
        rounds = 2 if self.env_runner_group.num_remote_env_runners() else 1
        return [
            f"{ratio}, {one.updates} in one call of TensorFlow; env steps are sampled by weights that are at most"
            f" {rounds * one.steps:,} env steps old;"
            f" {buffers} of {capacity:,} rows, up to {size}{saved}"
        ]

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write RLlib's checkpoint, and the replay buffers where that is wanted."""
        super().save_checkpoint(checkpoint_dir)
        for rows in self._saved_rows:
            rows.save(Path(checkpoint_dir))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """Load the replay buffers, then RLlib's checkpoint, which looks whether there is one."""
        for rows in self._saved_rows:
            rows.restore(Path(checkpoint_dir))
        super().load_checkpoint(checkpoint_dir)

    def training_step(self) -> Any:
        """Sample, store, update, and send the weights, as DQN of RLlib does."""
        if self._uncompiled:
            return super().training_step()
        stored = self._store()
        if not stored:
            # All env runners have failed.
            return {}
        counters = private_api.counters(self)
        if self._env_steps <= self.config.num_steps_sampled_before_learning_starts or not len(self.local_replay_buffer):
            return {}
        behind = self._sampling.ahead * self._round.updates
        with private_api.timers(self)[LEARN_ON_BATCH_TIMER]:
            told = self._learn(stored)
        with private_api.timers(self)[SYNCH_WORKER_WEIGHTS_TIMER]:
            self.env_runner_group.sync_weights(global_vars={"timestep": counters[NUM_ENV_STEPS_SAMPLED]})
        return {
            name: {
                LEARNER_STATS_KEY: statistics,
                NUM_GRAD_UPDATES_LIFETIME: self.get_policy(name).num_grad_updates,
                "diff_num_grad_updates_vs_sampler_policy": behind,
            }
            for name, statistics in told.items()
        }

    def _of_round(self) -> Round:
        """Several training steps of RLlib's, while they are few env steps and updates, and part of an iteration."""
        config = self.config
        fragments, updates = (int(count) for count in calculate_rr_weights(config))
        runners = max(self.env_runner_group.num_remote_env_runners(), 1)
        steps = fragments * runners * config.get_rollout_fragment_length() * config.num_envs_per_env_runner
        most = min(MOST_STEPS, (config.min_sample_timesteps_per_iteration or 0) // 4)
        times = max(1, min(most // steps, MOST_UPDATES // updates))
        return Round(times, times * fragments, times * steps, times * updates)

    def _store(self) -> int:
        """Sample a round into the buffers; give its env steps."""
        with private_api.timers(self)[SAMPLE_TIMER]:
            batches = self._sampling.next()
        counters, before = private_api.counters(self), self._env_steps
        for batch in batches:
            counters[NUM_ENV_STEPS_SAMPLED] += batch.env_steps()
            counters[NUM_AGENT_STEPS_SAMPLED] += batch.agent_steps()
            for policy, update in self._updates.items():
                # None where none of its agents acted, or what came of it is not known yet.
                rows = batch.policy_batches.get(policy)
                if rows is not None:
                    rows.decompress_if_needed()
                    self.local_replay_buffer.of[policy].add({name: rows[name] for name in {*update.columns, WEIGHTS}})
        return self._env_steps - before

    def _learn(self, stored: int) -> dict[str, dict[str, float]]:
        """Make the updates of each policy that has rows, and write priorities; give its statistics.

        `stored` are the env steps of the round.
        """
        follows, buffers = self._targets_follow(stored), self.local_replay_buffer.of
        return {name: self._learn_one(name, follows) for name in self._updates if len(buffers[name])}

    def _learn_one(self, policy: str, follows: Any) -> dict[str, float]:
        """The statistics as RLlib has those of one update."""
        size, counters, updates = self.config.total_train_batch_size, private_api.counters(self), self._round.updates
        buffer = self.local_replay_buffer.of[policy]
        columns, places, weights = buffer.sample(updates, size, self._random)
        statistics, errors = self._updates[policy]({**columns, WEIGHTS: weights}, follows)
        buffer.update_priorities(places, errors)
        counters[NUM_ENV_STEPS_TRAINED] += updates * size
        counters[NUM_AGENT_STEPS_TRAINED] += updates * size
        return {name: together(name, values) for name, values in statistics.items()}

    def _targets_follow(self, stored: int) -> Any:
        """After which updates the target network follows, by the env steps that RLlib would count at each."""
        counters, times, updates = private_api.counters(self), self._round.times, self._round.updates
        follows = np.zeros(updates, bool)
        for update in range(updates):
            later = times - 1 - update * times // updates
            now = self._env_steps - stored * later // times
            if now - counters[LAST_TARGET_UPDATE_TS] >= self.config.target_network_update_freq:
                follows[update] = True
                counters[NUM_TARGET_UPDATES] += 1
                counters[LAST_TARGET_UPDATE_TS] = now
        return follows

    @property
    def _env_steps(self) -> int:
        """Env steps of the run; of one agent they are also those of agents."""
        return int(private_api.counters(self)[NUM_ENV_STEPS_SAMPLED])

    def _check_buffers_fit(self) -> None:
        capacity, many = self.local_replay_buffer.capacity, len(self._learners)
        check_memory(capacity, self._bytes_of_buffers(), _memory_for_rows(), many)

    def _bytes_of_buffers(self) -> int:
        rows = sum(_row_bytes(self.get_policy(name)) for name in self._learners)
        return int(self.local_replay_buffer.capacity * rows)


def kind_of(settings: Mapping[str, Any]) -> str:
    """The name of the buffer's class in RLlib's replay_buffer_config, which may have the class itself."""
    kind = settings["type"]
    return kind.__name__ if isinstance(kind, type) else str(kind).rpartition(".")[2]


def priorities_of(settings: Mapping[str, Any]) -> Priorities:
    """The priorities of RLlib's replay_buffer_config."""
    given = {name: settings.get(f"prioritized_replay_{name}", settings.get(name)) for name in PRIORITIES}
    return Priorities(**{name: float(value) for name, value in given.items() if value is not None})


def _row_bytes(policy: Any) -> int:
    """The size of a row, from the spaces; columns beside observations and actions take 9 bytes."""
    spaces = (policy.observation_space, policy.observation_space, policy.action_space)
    return row_bytes({str(number): np.empty((0, *s.shape), s.dtype) for number, s in enumerate(spaces)}) + 9


def _memory_for_rows() -> int:
    return int(available().memory * SHARE_OF_MEMORY)

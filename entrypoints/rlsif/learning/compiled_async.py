"""APPO and IMPALA with the update of a batch in one call of TensorFlow's, beside which the next batch is collected.

RLlib puts fragments through queues and threads of its own, and looks for new ones without a pause, on a core that the
learner or an env runner could use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray
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
from rlsif.learning.compiled_vtrace import CompiledVTrace, minibatches
from rlsif.learning.fragments import Fragments
from rlsif.learning.xla import NEVER
from rlsif.sampling.env_runner import ArrayEnvRunner

IDLE = "learner_idle_time_share"
# So long a training step waits for a fragment before RLlib may look for env runners that came back, in seconds.
SECONDS_OF_A_STEP = 1.0
# Between two looks for fragments while an update is made, which ends the wait.
SECONDS_BETWEEN_LOOKS = 0.002
# Where there is no env runner to wait for.
SECONDS_WITHOUT_RUNNERS = 0.1
# Settings of RLlib's queues and threads, which are not there; given others than RLlib's, RLlib learns.
OF_RLLIBS_THREADS = (
    "learner_queue_size", "learner_queue_timeout", "num_gpu_loader_threads", "num_multi_gpu_tower_stacks",
    "timeout_s_sampler_manager", "minibatch_buffer_size",
)  # fmt: skip


def uncompiled(config: Any, recurrent: bool = False) -> str | None:
    """Why RLlib learns; None where a batch is learned in one call."""
    reasons = {
        f"framework {config.framework_str}": config.framework_str != "tf",
        "a recurrent network": recurrent,
        "its own sampler, whose fragments end with episodes": config.env_runner_cls is not ArrayEnvRunner,
        f"replay_proportion={config.replay_proportion}": config.replay_proportion > 0,
        f"opt_type={config.opt_type}": config.opt_type != "adam",
        "one clipping of all gradients together": not private_api.clips_each_loss(config),
    }
    defaults = type(config)()
    for name in OF_RLLIBS_THREADS:
        reasons[f"{name}={getattr(config, name)}"] = getattr(config, name) != getattr(defaults, name)
    return next((reason for reason, holds in reasons.items() if holds), None)


class Busy:
    """How long a thread was at work, of which another may ask meanwhile."""

    def __init__(self) -> None:
        """Begin without work."""
        self._lock = threading.Lock()
        self._total = 0.0
        self._since: float | None = None

    def __enter__(self) -> None:
        """Begin to work."""
        with self._lock:
            self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        """Work no more."""
        with self._lock:
            self._total, self._since = self._seconds(), None

    def seconds(self) -> float:
        """Of work until now."""
        with self._lock:
            return self._seconds()

    def _seconds(self) -> float:
        return self._total + (0.0 if self._since is None else time.perf_counter() - self._since)


class CompiledAsync(private_api.hooks()):  # type: ignore[misc]
    """IMPALA with a batch learned in one call, while env runners sample for the next."""

    def setup(self, config: Any) -> None:
        """Compile the update, where it can be, while env runners start to sample."""
        with private_api.learner_thread_where(self._rllib_learns):
            super().setup(config)
        if self._uncompiled:
            return
        # Those that learn, by name.
        self._updates = {name: self._compiled(self.get_policy(name)) for name in self._learners}
        self._fragments, self._thread = Fragments(self.env_runner_group), ThreadPoolExecutor(1, "learner")
        # What is collected of the next batch, and its env steps.
        self._collected, self._env_steps = list[Any](), 0
        # What the last update told, and how many have been made since weights were sent.
        self._told, self._unsent, self._busy = dict[str, Any](), 0, Busy()

    @property
    def _learners(self) -> list[str]:
        return list(self.config.policies_to_train or self.config.policies)

    def _compiled(self, policy: Any) -> CompiledVTrace:
        # On CPUs its learner mostly waits for env runners, and XLA would take 4 to 6 s of a core from them.
        return CompiledVTrace(policy, 0 if self.config.num_gpus else NEVER)

    def notes(self) -> list[str]:
        """What the first lines of a run tell of how it learns."""
        if self._uncompiled:
            return [f"RLlib learns, batch by batch in its own threads, for {self._uncompiled}"]
        beside = ", while the next is collected" if self.env_runner_group.num_remote_env_runners() else ""
        size, each = f"{self.config.total_train_batch_size:,}", " for each policy" if self._learners[1:] else ""
        return [f"each batch of at least {size} env steps is learned in one call of TensorFlow{each}{beside}"]

    def step(self) -> Any:
        """Add to what an iteration came to how much of its time the learner had nothing to learn."""
        if self._uncompiled:
            with private_api.learner_thread_at_work(self):
                return super().step()
        began, busy = time.perf_counter(), self._busy.seconds()
        result = super().step()
        share = 1 - (self._busy.seconds() - busy) / (time.perf_counter() - began)
        for policy in result["info"]["learner"].values():
            policy[IDLE] = min(max(share, 0.0), 1.0)
        return result

    def training_step(self) -> Any:
        """Learn a batch, and collect the next meanwhile; send the weights with the env runners' next calls."""
        if self._uncompiled:
            return super().training_step()
        # Where the learner never waits, too, env runners that came back or joined are asked.
        self._fragments.ask()
        if not self._collect_batch():
            return self._told
        update = self._thread.submit(self._learn, self._take_batch())
        self._collect_beside(update)
        told = update.result()
        self.learned({name: statistics for name, (statistics, _) in told.items()})
        self._send_weights()
        self._told = {
            **self._told,
            **{
                name: {
                    LEARNER_STATS_KEY: statistics,
                    NUM_GRAD_UPDATES_LIFETIME: self.get_policy(name).num_grad_updates,
                    "diff_num_grad_updates_vs_sampler_policy": behind,
                }
                for name, (statistics, behind) in told.items()
            },
        }
        return self._told

    def learned(self, statistics: Mapping[str, Mapping[str, float]]) -> None:
        """Do what follows the updates of policies, of which these are the statistics."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Continue with the weights of a checkpoint, in the env runners, too."""
        super().__setstate__(state)
        if not self._uncompiled:
            self._collected, self._env_steps, self._unsent = [], 0, self.config.broadcast_interval
            self._send_weights()

    def cleanup(self) -> None:
        """End the learner's thread, too."""
        super().cleanup()
        if not self._uncompiled:
            self._thread.shutdown()

    def _rllib_learns(self) -> bool:
        """Whether RLlib's learner thread is wanted; asked once there is a policy."""
        recurrent = any(self.get_policy(name).is_recurrent() for name in self._learners)
        self._uncompiled = uncompiled(self.config, recurrent)
        return self._uncompiled is not None

    def _collect_batch(self) -> bool:
        """Wait for a batch; false where it is not there in time, and RLlib may look after its env runners."""
        late = time.monotonic() + SECONDS_OF_A_STEP
        while not self._is_full():
            seconds = late - time.monotonic()
            if seconds <= 0:
                return False
            if not self._collect(seconds) and not self.env_runner_group.num_healthy_remote_workers():
                time.sleep(SECONDS_WITHOUT_RUNNERS)
                return False
        return True

    def _collect_beside(self, update: Future[Any]) -> None:
        """Take in what env runners sample until there is another batch, or the update is done."""
        if self.env_runner_group.num_remote_env_runners() == 0:
            return
        while not update.done() and not self._is_full():
            if not self._collect(0.0):
                wait([update], SECONDS_BETWEEN_LOOKS)

    def _collect(self, seconds: float) -> int:
        """Take in the fragments that are there after at most so many seconds; give how many they are."""
        with private_api.timers(self)[SAMPLE_TIMER]:
            batches = self._fragments.next(seconds)
        counters = private_api.counters(self)
        for batch in batches:
            counters[NUM_ENV_STEPS_SAMPLED] += batch.env_steps()
            counters[NUM_AGENT_STEPS_SAMPLED] += batch.agent_steps()
            self._collected.append(batch.policy_batches)
            self._env_steps += batch.env_steps()
        return len(batches)

    def _is_full(self) -> bool:
        return bool(self._env_steps >= self.config.total_train_batch_size)

    def _take_batch(self) -> tuple[list[Any], int]:
        """What was collected, and its env steps; begin anew."""
        batch = self._collected, self._env_steps
        self._collected, self._env_steps = [], 0
        return batch

    def _learn(self, batch: tuple[list[Any], int]) -> dict[str, tuple[dict[str, float], float]]:
        """Update the policies that have rows, in the learner's thread.

        Gives the statistics of each, and how many updates it was ahead of those that sampled, on average.
        """
        collected, env_steps = batch
        told, counters = {}, private_api.counters(self)
        with self._busy, private_api.timers(self)[LEARN_ON_BATCH_TIMER]:
            for name, update in self._updates.items():
                # None where an agent did not act in a fragment, or not for a whole stretch of it.
                fragments = [policies[name] for policies in collected if name in policies]
                if fragments:
                    told[name] = self._learn_one(self.get_policy(name), update, fragments)
        counters[NUM_ENV_STEPS_TRAINED] += env_steps * self.config.num_epochs
        return told

    def _learn_one(self, policy: Any, update: CompiledVTrace, fragments: list[Any]) -> tuple[dict[str, float], float]:
        # The learner's own env runner says none: it samples by the newest weights.
        newest = policy.num_grad_updates
        behind = [0 if f.num_grad_updates is None else newest - f.num_grad_updates for f in fragments]
        columns = {name: np.concatenate([f[name] for f in fragments]) for name in update.columns}
        rows = len(next(iter(columns.values())))
        private_api.counters(self)[NUM_AGENT_STEPS_TRAINED] += rows * self.config.num_epochs
        return update.learn(columns, self._minibatches(rows)), float(np.mean(behind))

    def _minibatches(self, rows: int) -> NDArray[np.int64]:
        config = self.config
        return minibatches(
            rows, config.get_rollout_fragment_length(), config.total_train_batch_size, config.minibatch_size,
            config.num_epochs,
        )  # fmt: skip

    def _send_weights(self) -> None:
        """Move schedules, and let env runners have the weights, every `broadcast_interval` batches."""
        global_vars = {
            "timestep": private_api.counters(self)[NUM_AGENT_STEPS_TRAINED],
            "num_grad_updates_per_policy": {n: self.get_policy(n).num_grad_updates for n in self._learners},
        }
        self.env_runner.set_global_vars(global_vars)
        self._unsent += 1
        if self._unsent >= self.config.broadcast_interval:
            with private_api.timers(self)[SYNCH_WORKER_WEIGHTS_TIMER]:
                self._fragments.send(self.env_runner.get_weights(), global_vars)
            self._unsent = 0


class CompiledAPPO(CompiledAsync):
    """The same for APPO."""

    def learned(self, statistics: Mapping[str, Mapping[str, float]]) -> None:
        """Let target networks follow, and adapt the weight of the divergence, as APPO of RLlib does."""
        config, counters = self.config, private_api.counters(self)
        by_agent = config.count_steps_by == "agent_steps"
        now = counters[NUM_AGENT_STEPS_SAMPLED if by_agent else NUM_ENV_STEPS_SAMPLED]
        if now - counters[LAST_TARGET_UPDATE_TS] <= config.num_epochs * config.minibatch_buffer_size:
            return
        counters[NUM_TARGET_UPDATES] += 1
        counters[LAST_TARGET_UPDATE_TS] = now
        for name, told in statistics.items():
            policy = self.get_policy(name)
            policy.update_target()
            if config.use_kl_loss:
                policy.update_kl(told["kl"])

"""BC, MARWIL and CQL on arrays of recorded episodes, with all updates of an iteration in one call of TensorFlow's.

RLlib reads lines until they have a batch, and makes one update of it. Here every update draws its rows from all
episodes, and every row is drawn once before one is drawn again.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.policy.sample_batch import DEFAULT_POLICY_ID, SampleBatch
from ray.rllib.utils.metrics import (
    LEARN_ON_BATCH_TIMER,
    NUM_AGENT_STEPS_SAMPLED,
    NUM_AGENT_STEPS_TRAINED,
    NUM_ENV_STEPS_SAMPLED,
    NUM_ENV_STEPS_TRAINED,
    NUM_GRAD_UPDATES_LIFETIME,
    SAMPLE_TIMER,
)
from ray.rllib.utils.metrics.learner_info import LEARNER_STATS_KEY

from rlsif import private_api
from rlsif.envs.recorded import Recorded
from rlsif.errors import counted
from rlsif.learning.compiled_update import CompiledUpdate
from rlsif.learning.xla import begins

# Values of so many observations are computed at once.
AT_ONCE = 1024


class CompiledOffline(private_api.hooks()):  # type: ignore[misc]
    """An algorithm that learns from recorded episodes, and samples none."""

    def setup(self, config: Any) -> None:
        """Compile the update, where it can be."""
        super().setup(config)
        self._update: Any = self.compiled_update() if self.config.framework_str == "tf" else None
        seed = None if self.config.seed is None else [self.config.seed, self.config.rlsif.resumed_at]
        self._random = np.random.default_rng(seed)
        # Rows that are to be drawn before all are drawn anew.
        self._left: NDArray[np.int64] = np.array([], np.int64)

    def compiled_update(self) -> Any:
        """The updates of this algorithm's policy."""
        policy, size = self.get_policy(), self.config.total_train_batch_size
        return CompiledUpdate(policy, begins(policy, self.config, size))

    def learn_from(self, recorded: Recorded, where: str) -> None:
        """Take the episodes, and in words where they are."""
        self._recorded, self._where = recorded, where
        self._rows = self.rows(recorded)

    def rows(self, recorded: Recorded) -> NDArray[np.int64]:
        """The steps that are learned from."""
        return np.arange(recorded.steps)

    def notes(self) -> list[str]:
        """What the first lines of a run tell."""
        recorded = self._recorded
        episodes, steps = counted(len(recorded.ends), "episode", ","), counted(recorded.steps, "step", ",")
        told = f"learns from {episodes}, {steps}, of {self._where}"
        if len(recorded.cut):
            told += f"; {len(recorded.cut):,} of them were cut off"
        others = ", ".join(recorded.elsewhere)
        warned = [f"warning: some were recorded in {others}"] if others else []
        if recorded.beyond:
            warned.append(
                f"warning: {100 * recorded.beyond:.3g} % of the numbers of actions are beyond -1 and 1, where a policy"
                " has the bounds; if they are the environment's own, give --set actions_in_input_normalized=false"
            )
        return [told, *warned]

    def training_step(self) -> Any:
        """Make the updates of an iteration."""
        timers, counters = private_api.timers(self), private_api.counters(self)
        updates, size = self.updates_and_size()
        with timers[SAMPLE_TIMER]:
            batch = self._drawn(updates * size)
        for counter in (NUM_ENV_STEPS_SAMPLED, NUM_AGENT_STEPS_SAMPLED, NUM_ENV_STEPS_TRAINED, NUM_AGENT_STEPS_TRAINED):
            counters[counter] += updates * size
        with timers[LEARN_ON_BATCH_TIMER]:
            statistics = self.learn(batch, size) if self._update else self._updated(batch, size)
        counts = {"timestep": counters[NUM_AGENT_STEPS_SAMPLED]}
        self.env_runner.set_global_vars(counts)
        learned = {LEARNER_STATS_KEY: statistics, NUM_GRAD_UPDATES_LIFETIME: self.get_policy().num_grad_updates}
        return {DEFAULT_POLICY_ID: learned}

    def updates_and_size(self) -> tuple[int, int]:
        """How many updates an iteration has, and how many rows each."""
        size = min(self.config.total_train_batch_size, len(self._rows))
        # With fewer steps than that, RLlib would call `training_step` twice.
        return max(1, ceil((self.config.min_sample_timesteps_per_iteration or 0) / size)), size

    def learn(self, batch: SampleBatch, size: int) -> dict[str, float]:
        """Make updates of `size` rows each, in one call; give what is told of them."""
        told: dict[str, float] = self._update(batch, 1, size)
        return told

    def columns(self) -> Mapping[str, Any]:
        """What rows are drawn from, [steps, ...] each."""
        return {name: self._recorded.columns[name] for name in ("obs", "actions")}

    def _drawn(self, number: int) -> SampleBatch:
        while len(self._left) < number:
            self._left = np.concatenate([self._left, self._random.permutation(self._rows)])
        rows, self._left = self._left[:number], self._left[number:]
        return SampleBatch({name: values[rows] for name, values in self.columns().items()})

    def _updated(self, batch: SampleBatch, size: int) -> dict[str, float]:
        """The same by RLlib's own step, one call an update; give the means of its statistics."""
        policy = self.get_policy()
        told = [
            policy.learn_on_batch(batch.slice(begin, begin + size))[LEARNER_STATS_KEY]
            for begin in range(0, len(batch), size)
        ]
        return {name: float(np.mean([each[name] for each in told])) for name in told[0] if name != "model"}


class CompiledMARWIL(CompiledOffline):
    """MARWIL, which weighs steps by what came of them."""

    def columns(self) -> Mapping[str, Any]:
        """Add the discounted returns, which RLlib has for advantages; its value function is subtracted by the loss."""
        recorded = self._recorded
        afterwards, cut = np.zeros(len(recorded.ends)), recorded.cut
        if len(cut):
            afterwards[cut] = self._values(recorded.last_seen()[cut])
        return {**super().columns(), "advantages": recorded.returns(self.config.gamma, afterwards)}

    def _values(self, observations: Any) -> NDArray[np.float64]:
        """What the policy expects of these. RLlib would take 0 for what was cut off, as if it had ended."""
        policy = self.get_policy()
        parts = [
            policy.compute_actions(observations[begin : begin + AT_ONCE], explore=False)[2]["vf_preds"]
            for begin in range(0, len(observations), AT_ONCE)
        ]
        return np.concatenate(parts).astype(np.float64)

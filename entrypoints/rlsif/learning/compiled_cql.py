"""CQL on arrays of recorded episodes, with all updates of an iteration in one call of TensorFlow's.

RLlib's policy imitates what was recorded for `bc_iters` updates, and then seeks actions of high value. It counts them
in Python, where a graph is built: with framework "tf" it would imitate until the end.
"""

from __future__ import annotations

from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.metrics import LAST_TARGET_UPDATE_TS, NUM_ENV_STEPS_TRAINED, NUM_TARGET_UPDATES

from rlsif import private_api
from rlsif.envs.recorded import Recorded
from rlsif.errors import InputError
from rlsif.learning.compiled_offline import CompiledOffline
from rlsif.learning.compiled_replay import CompiledReplay, together


class CompiledPhase(CompiledReplay):
    """Updates of a CQL policy while it imitates, or those after that."""

    def __init__(self, policy: Any, xla: bool, imitates: bool) -> None:
        """Add the loop to the policy's graph, as CompiledReplay does."""
        self._imitates = imitates
        super().__init__(policy, xla)

    def _update(self, columns: Any, follows: Any) -> Any:
        # By which RLlib's loss tells the phase.
        self._policy.cur_iter = -inf if self._imitates else inf
        return super()._update(columns, follows)


class CompiledCQL(CompiledOffline):
    """CQL."""

    def compiled_update(self) -> dict[bool, CompiledPhase]:
        """The updates while the policy imitates, and those after that."""
        policy = self.get_policy()
        xla = bool(self.config.num_gpus)
        phases = (True, False) if self.config.bc_iters else (False,)
        return {imitates: CompiledPhase(policy, xla, imitates) for imitates in phases}

    def learn_from(self, recorded: Recorded, where: str) -> None:
        """Take the episodes, and have XLA compile updates of so many rows, where it does. Raises InputError."""
        super().learn_from(recorded, where)
        if not len(self._rows):
            raise InputError(
                f"--input {where}: CQL needs the observation after a step, and no step has one; record `new_obs`, as"
                " `evaluate --record` does"
            )
        for phase in self._update.values():
            phase.warm_up(*self.updates_and_size())

    def replay_buffer(self, config: Any, theirs: Any) -> None:
        """There is none."""

    def rows(self, recorded: Recorded) -> NDArray[np.int64]:
        """The steps whose next observation is known."""
        return np.flatnonzero(recorded.followed()[1])

    def columns(self) -> dict[str, Any]:
        """Transitions."""
        recorded = self._recorded
        given = {name: recorded.columns[name] for name in ("obs", "actions", "rewards", "terminateds")}
        return {**given, "new_obs": recorded.followed()[0]}

    def notes(self) -> list[str]:
        """Say how long the policy imitates."""
        told, imitates = super().notes(), self.config.bc_iters
        then = f"for {imitates:,} updates the policy imitates them, then it seeks actions of high value"
        return [f"{told[0]}; {then}" if imitates else told[0], *told[1:]]

    def learn(self, batch: SampleBatch, size: int) -> dict[str, float]:
        """Make updates of `size` rows each, in one call or, where a phase ends, in two."""
        columns = {name: values.reshape(-1, size, *values.shape[1:]) for name, values in batch.items()}
        follows = self._targets_follow(len(columns["obs"]), size)
        made = self.get_policy().num_grad_updates
        begun = min(max(self.config.bc_iters - made, 0), len(follows))
        told = [
            self._update[imitates]({name: values[part] for name, values in columns.items()}, follows[part])[0]
            for imitates, part in ((True, slice(begun)), (False, slice(begun, None)))
            if len(follows[part])
        ]
        return {name: together(name, np.concatenate([each[name] for each in told])) for name in told[0]}

    def _targets_follow(self, updates: int, size: int) -> NDArray[np.bool_]:
        """After which updates the target network follows, by the steps that RLlib would count as trained at each."""
        counters, follows = private_api.counters(self), np.zeros(updates, bool)
        before = counters[NUM_ENV_STEPS_TRAINED] - updates * size
        for update in range(updates):
            now = before + (update + 1) * size
            if now - counters[LAST_TARGET_UPDATE_TS] >= self.config.target_network_update_freq:
                follows[update] = True
                counters[NUM_TARGET_UPDATES] += 1
                counters[LAST_TARGET_UPDATE_TS] = now
        return follows

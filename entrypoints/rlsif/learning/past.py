"""What a recurrent policy of RLlib's sees beside an observation: its states, actions and rewards of earlier steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

STATES, ACTIONS, REWARDS = "state_out_", "actions", "rewards"


class Past:
    """A window over the last steps of each slot, for each column that the policy's view requirements ask for.

    An LSTM sees its last state, an attention network as many as its memory is long. Before an episode's first step
    there are zeros, as in RLlib's sampler, or the policy's initial state.
    """

    def __init__(self, policy: Any, slots: int) -> None:
        """Take a policy; without a state it sees nothing of the past."""
        begun = [np.asarray(part, np.float32) for part in policy.get_initial_state()]
        self._windows = {
            name: _Window(view, _first(view.data_col, begun, view.space), slots)
            for name, view in policy.view_requirements.items()
            if begun and view.used_for_compute_actions and _is_of_the_past(view)
        }
        # What each slot got since its last action.
        self._rewards = np.zeros(slots, np.float32)

    def __bool__(self) -> bool:
        """Whether there is anything to see."""
        return bool(self._windows)

    def seen(self, slots: Sequence[int]) -> dict[str, NDArray[Any]]:
        """The columns of these slots, [slots, ...] each, or [slots, steps, ...]."""
        for window in self._of(REWARDS):
            window.add(slots, self._rewards[slots])
        self._rewards[slots] = 0
        return {name: window.seen(slots) for name, window in self._windows.items()}

    def acted(self, slots: Sequence[int], actions: NDArray[Any], states: Sequence[NDArray[Any]]) -> None:
        """Keep what these slots chose, [slots, ...], and the policy's new states."""
        for window in self._of(ACTIONS):
            window.add(slots, actions)
        for number, state in enumerate(states):
            for window in self._of(f"{STATES}{number}"):
                window.add(slots, state)

    def rewarded(self, slot: int, reward: float) -> None:
        """Keep what a slot got."""
        self._rewards[slot] += reward

    def forget(self, slot: int) -> None:
        """Begin a new episode there."""
        self._rewards[slot] = 0
        for window in self._windows.values():
            window.forget(slot)

    def _of(self, source: str) -> list[_Window]:
        return [window for window in self._windows.values() if window.source == source]


class _Window:
    """The last steps of one column."""

    def __init__(self, view: Any, first: NDArray[Any], slots: int) -> None:
        self.source = view.data_col
        # One step has no axis of its own.
        self._alone = not isinstance(view.shift, str)
        self._first = np.repeat(first[None], len(view.shift_arr), axis=0)
        self._kept = np.repeat(self._first[None], slots, axis=0)

    def seen(self, slots: Sequence[int]) -> NDArray[Any]:
        kept: NDArray[Any] = self._kept[slots]
        return kept[:, 0] if self._alone else kept

    def add(self, slots: Sequence[int], values: NDArray[Any]) -> None:
        kept = self._kept[slots]
        self._kept[slots] = np.concatenate([kept[:, 1:], np.asarray(values)[:, None]], axis=1)

    def forget(self, slot: int) -> None:
        self._kept[slot] = self._first


def _is_of_the_past(view: Any) -> bool:
    source = str(view.data_col)
    return source.startswith((STATES, ACTIONS, REWARDS)) and bool((view.shift_arr < 0).all())


def _first(source: str, begun: Sequence[NDArray[Any]], space: Any) -> NDArray[Any]:
    """What stands in a window before the first step."""
    if source.startswith(STATES):
        return begun[int(source[len(STATES) :])]
    if source == REWARDS:
        return np.zeros((), np.float32)
    return np.zeros_like(np.asarray(space.sample()))

"""A replay buffer of arrays, from which the batches of many updates are drawn at once.

RLlib's keeps a Python object for each row, and draws one row after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.errors import RlsifError
from rlsif.learning.segment_tree import SegmentTree

Array = NDArray[Any]
# Importance weights of rows when they are drawn, and priorities when they come in.
WEIGHTS = "weights"
# Of a checkpoint, where rows are.
FOLDER = "replay_buffer"


@dataclass(frozen=True)
class Priorities:
    """How much the TD error of a row counts when rows are drawn, by RLlib's names without `prioritized_replay_`."""

    alpha: float = 0.6
    beta: float = 0.4
    eps: float = 1e-6


class ArrayReplayBuffer:
    """The last `capacity` rows, in columns that are allocated once; uniform, or prioritized as in RLlib."""

    def __init__(self, capacity: int, priorities: Priorities | None = None, memory: int | None = None) -> None:
        """Take the most rows that are kept, and the bytes that they may need; None for as many as they need."""
        self.capacity, self._memory = capacity, memory
        self._priorities = _Prioritized(capacity, priorities) if priorities else None
        self._columns: dict[str, Array] = {}
        # Rows are numbered in the order in which they come; row n is at place n modulo the capacity.
        self._oldest = self._end = 0

    def __len__(self) -> int:
        """How many rows there are."""
        return self._end - self.first

    @property
    def first(self) -> int:
        """The number of the oldest row."""
        return max(self._oldest, self._end - self.capacity)

    @property
    def end(self) -> int:
        """The number that the next row will have."""
        return self._end

    @property
    def nbytes(self) -> int:
        """The size of all columns when they are full."""
        return sum(column.nbytes for column in self._columns.values())

    def add(self, columns: Mapping[str, Array]) -> None:
        """Take rows, each column [rows, ...]; the oldest make room. Raises RlsifError where memory is too small.

        `weights` are their first priorities, and no column; without them it is the highest there was.
        """
        weights = columns.get(WEIGHTS)
        rows = {name: column for name, column in columns.items() if name != WEIGHTS}
        if not self._columns:
            self._allocate(rows)
        places = self._places(len(next(iter(rows.values()))))
        for name, column in self._columns.items():
            column[places] = rows[name][-len(places) :]
        if self._priorities and len(places):
            self._priorities.begin(places, None if weights is None else weights[-len(places) :])

    def sample(
        self, updates: int, batch_size: int, random: np.random.Generator
    ) -> tuple[dict[str, Array], NDArray[np.int64], NDArray[np.float32]]:
        """A batch for each update: columns [updates, batch_size, ...], which rows they are, and importance weights."""
        shape = (updates, batch_size)
        if self._priorities:
            places, weights = self._priorities.draw(shape, len(self), random)
        else:
            places, weights = random.integers(len(self), size=shape), np.ones(shape, np.float32)
        return {name: column[places] for name, column in self._columns.items()}, places, weights

    def update_priorities(self, places: NDArray[np.int64], td_errors: Array) -> None:
        """Take the TD errors of rows that were drawn; of a row that was drawn twice the last one counts."""
        if self._priorities:
            self._priorities.learn(places.ravel(), np.asarray(td_errors, np.float64).ravel())

    def rows(self, first: int, end: int) -> dict[str, Array]:
        """The columns of rows `first` to `end` - 1, which must be there."""
        places = np.arange(first, end) % self.capacity
        return {name: column[places] for name, column in self._columns.items()}

    def priorities(self) -> dict[str, Any] | None:
        """The priorities of all rows, from the oldest to the newest; None where rows are drawn uniformly."""
        places = np.arange(self.first, self._end) % self.capacity
        return self._priorities.state(places) if self._priorities else None

    def begin_at(self, first: int) -> None:
        """Be empty; the next row has this number."""
        self._columns, self._oldest, self._end = {}, first, first

    def prioritize(self, priorities: Mapping[str, Any]) -> None:
        """Give the newest rows saved priorities, where there are any and rows are drawn by them."""
        if self._priorities and priorities:
            self._priorities.restore(np.arange(self.first, self._end) % self.capacity, priorities)

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over the rows that an earlier version kept in RLlib's state; those of RLlib's buffers are left out."""
        if state.get("columns"):
            self.begin_at(0)
            self.add(state["columns"])
            self.prioritize(state["priorities"] or {})

    def _allocate(self, rows: Mapping[str, Array]) -> None:
        """Make the columns, each with the dtype of its first rows."""
        needed = self.capacity * row_bytes(rows)
        check_memory(self.capacity, needed, self._memory)
        self._columns = {
            name: np.zeros((self.capacity, *column.shape[1:]), column.dtype) for name, column in rows.items()
        }

    def _places(self, rows: int) -> NDArray[np.int64]:
        """Where so many new rows go; of more than the capacity only the last ones are kept."""
        end = self._end + rows
        places = np.arange(max(self._end, end - self.capacity), end) % self.capacity
        self._end = end
        return places


class ReplayBuffers:
    """Those of the policies that learn, by their names, as RLlib's algorithms ask for one; all hold as many rows."""

    def __init__(self, of: Mapping[str, ArrayReplayBuffer]) -> None:
        """Take them."""
        self.of = of

    def __len__(self) -> int:
        """How many rows there are in all of them."""
        return sum(map(len, self.of.values()))

    @property
    def capacity(self) -> int:
        """The most rows of each."""
        return next(iter(self.of.values())).capacity

    def by_folder(self) -> list[tuple[str, ArrayReplayBuffer]]:
        """Each with the folder of a checkpoint that has its rows."""
        several = len(self.of) > 1
        return [(f"{FOLDER}/{name}" if several else FOLDER, buffer) for name, buffer in self.of.items()]

    def get_state(self) -> dict[str, Any]:
        """Nothing: rows are saved beside RLlib's state; rlsif.learning.saved_rows says how."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over the rows that an earlier version, which had one buffer, kept in RLlib's state."""
        [buffer, *others] = self.of.values()
        if not others:
            buffer.set_state(state)

    def stats(self, debug: bool = False) -> dict[str, Any]:
        """What RLlib's callbacks may ask for."""
        return {"num_entries": len(self), "est_size_bytes": sum(buffer.nbytes for buffer in self.of.values())}


class _Prioritized:
    """The priorities of rows, by their places; Schaul et al. 2015, as RLlib computes them."""

    def __init__(self, capacity: int, settings: Priorities) -> None:
        self._settings = settings
        self._sums, self._least = SegmentTree(capacity, np.add, 0.0), SegmentTree(capacity, np.minimum, np.inf)
        self._highest = 1.0

    def begin(self, places: NDArray[np.int64], priorities: Array | None) -> None:
        """Give new rows their priorities."""
        self._set(places, np.full(len(places), self._highest) if priorities is None else priorities.astype(np.float64))

    def learn(self, places: NDArray[np.int64], td_errors: NDArray[np.float64]) -> None:
        """Give rows the priorities of their TD errors."""
        priorities = np.abs(td_errors) + self._settings.eps
        self._highest = max(self._highest, float(priorities.max()))
        self._set(places, priorities)

    def draw(
        self, shape: tuple[int, int], rows: int, random: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Draw rows in proportion to their priorities, with weights that make up for that; the rarest row's is 1."""
        # A sum of many numbers may come out a little higher than all of its parts.
        places = np.minimum(self._sums.find(random.random(shape) * self._sums.root), rows - 1)
        weights = (self._sums[places] / self._least.root) ** -self._settings.beta
        return places, weights.astype(np.float32)

    def state(self, places: NDArray[np.int64]) -> dict[str, Any]:
        return {"scaled": self._sums[places], "highest": self._highest}

    def restore(self, places: NDArray[np.int64], state: Mapping[str, Any]) -> None:
        self._highest = float(state["highest"])
        self._write(places, state["scaled"][-len(places) :])

    def _set(self, places: NDArray[np.int64], priorities: NDArray[np.float64]) -> None:
        self._write(places, priorities**self._settings.alpha)

    def _write(self, places: NDArray[np.int64], scaled: NDArray[np.float64]) -> None:
        self._sums[places] = scaled
        self._least[places] = scaled


def row_bytes(rows: Mapping[str, Array]) -> int:
    """The size of one row of these columns."""
    return sum(int(np.prod(column.shape[1:])) * column.dtype.itemsize for column in rows.values())


def check_memory(capacity: int, needed: int, memory: int | None, buffers: int = 1) -> None:
    """Refuse buffers of that capacity that will not fit together. Raises RlsifError."""
    if memory is not None and needed > memory:
        fits = capacity * memory // needed
        asked, take = ("a replay buffer", "takes") if buffers == 1 else (f"{buffers} replay buffers", "take")
        raise RlsifError(
            f"{asked} of {capacity:,} rows {take} {gigabytes(needed)}, and this process may use"
            f" {gigabytes(memory)} for it; `--set replay_buffer_config.capacity={fits}` fits"
        )


def gigabytes(size: int) -> str:
    """A size in words, in GB from 0.1 GB on and in MB below."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e8 else f"{size / 1e6:,.1f} MB"

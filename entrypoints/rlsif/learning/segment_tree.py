"""A tree of partial sums or minima over an array, read and written for many places at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Places = NDArray[np.int64]


class SegmentTree:
    """As ray/rllib/execution/segment_tree.py has it: node n combines 2n and 2n + 1, the leaves come last."""

    def __init__(self, size: int, combine: np.ufunc, neutral: float) -> None:
        """Make room for `size` leaves, all `neutral` of `combine`."""
        self._combine = combine
        self._leaves = 1 << max(size - 1, 1).bit_length()
        self._nodes = np.full(2 * self._leaves, neutral)

    def __getitem__(self, places: Places | slice) -> Floats:
        """The leaves at these places."""
        leaves: Floats = self._nodes[self._leaves :][places]
        return leaves

    def __setitem__(self, places: Places, values: Floats) -> None:
        """Write leaves; of a place that is named twice the last value stays."""
        nodes = places + self._leaves
        self._nodes[nodes] = values
        while nodes[0] > 1:
            nodes = _once(nodes >> 1)
            self._nodes[nodes] = self._combine(self._nodes[2 * nodes], self._nodes[2 * nodes + 1])

    @property
    def root(self) -> float:
        """All leaves combined."""
        return float(self._nodes[1])

    def find(self, sums: Floats) -> Places:
        """In a tree of sums, for each number the first place up to which the leaves add up to more than it."""
        nodes = np.ones(sums.shape, np.int64)
        rest = sums.copy()
        while nodes.flat[0] < self._leaves:
            nodes = 2 * nodes
            left = self._nodes[nodes]
            right = rest >= left
            rest -= np.where(right, left, 0.0)
            nodes += right
        return nodes - self._leaves


def _once(places: Places) -> Places:
    """Sorted places without those that repeat; np.unique takes four times as long for a few hundred."""
    ordered = np.sort(places)
    once: Places = ordered[np.append(True, ordered[1:] != ordered[:-1])]
    return once

"""From what a policy chooses to what an environment takes.

Every action space comes down to one of four that policies choose from: `Discrete(n)`, `MultiDiscrete` in one
dimension, a `Box` of float32 in one dimension, or a Tuple of the last two, of which an array has the choices before the
numbers. The adapter turns a choice into an action of the environment's own space: never outside of it, in its shape and
dtype.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.spaces import (
    Box,
    Composite,
    Discrete,
    MultiBinary,
    MultiDiscrete,
    Other,
    Path,
    Space,
    described,
    leaves,
)

Array = NDArray[Any]
# Outputs of a network for the choices of an integer; more are told to be a mistake.
MOST_CHOICES = 20_000


def unsupported(space: Space) -> str | None:
    """Why no policy can choose actions of this space, in a few words; None where one can."""
    parts = [part for _, part in leaves(space)]
    if not parts or any(_size(part) == 0 for part in parts):
        return f"actions are {described(space)}, with nothing to choose"
    for part in parts:
        if isinstance(part, Other):
            return f"actions are {part.kind}; Discrete, MultiDiscrete, MultiBinary, Box, and Tuple or Dict of them work"
        if isinstance(part, Box) and part.dtype.kind in "iu" and not _choices_of_box(part):
            return (
                f"actions are {described(part)} from {part.low.min()} to {part.high.max()};"
                f" whole numbers need bounds, and {MOST_CHOICES:,} choices at most: use a Box of floats"
            )
    return None


def policy_space(space: Space, normalize: bool = True) -> Space:
    """What the policy chooses from: Discrete, MultiDiscrete or Box of float32 in one dimension, or a Tuple of the last.

    With `normalize` the bounds of a Box are -1 and 1. The space is one that `unsupported` has nothing against.
    """
    if isinstance(space, Discrete):
        return Discrete(space.n)
    parts = [part for _, part in leaves(space)]
    numbers = [part for part in parts if _is_continuous(part)]
    choices = [part for part in parts if not _is_continuous(part)]
    if not numbers:
        return _of_choices(choices)
    if not choices:
        return _of_numbers(numbers, normalize)
    return Composite((0, 1), (_of_choices(choices), _of_numbers(numbers, normalize)), is_dict=False)


def choices_of(space: Space) -> Discrete | MultiDiscrete | None:
    """What a policy chooses of its space but for numbers; None where these are all."""
    first = space.parts[0] if isinstance(space, Composite) else space
    return first if isinstance(first, (Discrete, MultiDiscrete)) else None


def joined(chosen: Any) -> Array:
    """What RLlib chose from a policy's space as one array, [n, ...] or one; RLlib has an array a part of a Tuple."""
    return np.concatenate(chosen, axis=-1) if isinstance(chosen, tuple) else np.asarray(chosen)


def _of_choices(parts: list[Space]) -> Space:
    counts = np.array([n for part in parts for n, _ in _choices(part)], np.int64)
    return MultiDiscrete(counts, np.zeros_like(counts), np.dtype(np.int64))


def _of_numbers(parts: list[Space], normalize: bool) -> Space:
    low, high = (np.concatenate([_bounds(part)[side] for part in parts]) for side in (0, 1))
    if normalize:
        low, high = np.full_like(low, -1), np.ones_like(high)
    return Box(low.astype(np.float32), high.astype(np.float32), np.dtype(np.float32))


class ActionAdapter:
    """Turns what a policy chose into actions of the environment's space."""

    def __init__(self, space: Space, normalize: bool = True, clip: bool = True) -> None:
        """Take a space that `unsupported` has nothing against, and RLlib's normalize_actions and clip_actions."""
        self._space = space
        self._parts: list[_Part] = []
        self._paths = [path for path, _ in leaves(space)]
        parts = [leaf for _, leaf in leaves(space)]
        # Where the next choice and the next number are.
        at = {False: 0, True: sum(_size(leaf) for leaf in parts if not _is_continuous(leaf))}
        for leaf in parts:
            begin, end = at[_is_continuous(leaf)], at[_is_continuous(leaf)] + _size(leaf)
            self._parts.append(_Part(leaf, slice(begin, end), normalize, clip))
            at[_is_continuous(leaf)] = end

    def batch(self, chosen: Array) -> Any:
        """Actions of the space, [n, ...], or nested as the space is with that in each part; `chosen` is [n, ...]."""
        if not isinstance(self._space, Composite):
            return self._parts[0](chosen)
        return _nest(self._space, iter([part(chosen[:, part.places]) for part in self._parts]))

    def chosen(self, actions: Any) -> Array:
        """What a policy chooses for actions that are as `batch` gives them: [n] of one choice, else [n, numbers].

        Raises KeyError, IndexError, TypeError, ValueError for what has another structure.
        """
        parts = [part.chosen(_at(actions, path)) for path, part in zip(self._paths, self._parts)]
        found = np.empty((len(parts[0]), sum(part.shape[1] for part in parts)))
        for part, values in zip(self._parts, parts):
            found[:, part.places] = values
        return found[:, 0].astype(np.int64) if isinstance(self._space, Discrete) else found

    def each(self, chosen: Array) -> list[Any]:
        """The same actions as a list, one for each environment, as its `step` takes them fastest."""
        if not isinstance(self._space, Composite):
            actions = self._parts[0](chosen)
            if isinstance(self._space, Discrete):
                return list(actions.tolist())
            # One number is an array without dimensions.
            return list(actions) if actions.ndim > 1 else [np.asarray(action) for action in actions]
        parts = [part(chosen[:, part.places]) for part in self._parts]
        return [_nest(self._space, iter([part[i] for part in parts])) for i in range(len(chosen))]


def _nest(space: Space, values: Iterator[Any]) -> Any:
    """Values of the leaves in the shape of a space."""
    if not isinstance(space, Composite):
        return next(values)
    nested = [_nest(part, values) for part in space.parts]
    return dict(zip(space.names, nested)) if space.is_dict else tuple(nested)


def _at(nested: Any, path: Path) -> Any:
    for step in path:
        nested = nested[step]
    return nested


class _Part:
    """Turns the choices for one leaf of a space into its actions."""

    def __init__(self, space: Space, places: slice, normalize: bool, clip: bool) -> None:
        self.places, self._space = places, space
        self._normalize, self._clip = normalize, clip
        if isinstance(space, Box) and space.dtype.kind == "f":
            self._low, self._high = _bounds(space)
            self._below, self._above = np.isfinite(self._low), np.isfinite(self._high)
            self._bounded = bool(self._below.all() and self._above.all())
        else:
            self._starts = np.array([start for _, start in _choices(space)], np.int64)

    def __call__(self, chosen: Array) -> Array:
        space = self._space
        if chosen.dtype.kind == "f" and not _is_continuous(space):
            # Beside numbers.
            chosen = chosen.astype(np.int64)
        if isinstance(space, Discrete):
            # One of several parts comes as a column.
            return chosen.reshape(len(chosen)) + space.start
        if isinstance(space, Box) and space.dtype.kind == "f":
            return self._of_box(chosen).astype(space.dtype).reshape(len(chosen), *space.shape)
        dtype = np.dtype(np.int8) if isinstance(space, MultiBinary) else space.dtype  # type: ignore[union-attr]
        return (chosen + self._starts).astype(dtype).reshape(len(chosen), *space.shape)  # type: ignore[union-attr]

    def chosen(self, actions: Array) -> Array:
        """The choices for actions, [n, numbers]; the inverse of a call, within the bounds."""
        values = np.asarray(actions)
        values = values.reshape(len(values), _size(self._space)).astype(np.float64)
        if not _is_continuous(self._space):
            return values - self._starts
        if not self._normalize:
            return values
        low, high, below, above = self._low, self._high, self._below, self._above
        with np.errstate(invalid="ignore", divide="ignore"):
            scaled = np.where(high > low, (values - low) / (high - low) * 2 - 1, 0)
        return np.where(
            below & above, scaled, np.where(below, values - low - 1, np.where(above, values - high + 1, values))
        )

    def _of_box(self, chosen: Array) -> Array:
        """Numbers within the bounds.

        Normalised, -1 stands for the lower bound and 1 for the higher. Where there is one bound alone, -1 or 1
        stands for it, and the scale is the environment's own; where there is none, numbers stay as they are.
        """
        values = chosen.astype(np.float64)
        if self._normalize and self._bounded:
            # By far the most usual.
            values = self._low + (values + 1) * ((self._high - self._low) / 2)
        elif self._normalize:
            low, high, below, above = self._low, self._high, self._below, self._above
            with np.errstate(invalid="ignore"):
                values = np.where(
                    below & above,
                    low + (values + 1) * (high - low) / 2,
                    np.where(below, low + values + 1, np.where(above, high + values - 1, values)),
                )
        if self._normalize or self._clip:
            values = np.minimum(np.maximum(values, self._low), self._high)
        return values


def _is_continuous(space: Space) -> bool:
    return isinstance(space, Box) and space.dtype.kind == "f"


def _bounds(space: Space) -> tuple[Array, Array]:
    assert isinstance(space, Box)
    return space.low.reshape(-1).astype(np.float64), space.high.reshape(-1).astype(np.float64)


def _size(space: Space) -> int:
    """How many numbers an action of a leaf has."""
    return 1 if isinstance(space, (Discrete, Other)) else math.prod(space.shape)  # type: ignore[union-attr]


def _choices_of_box(space: Box) -> list[tuple[int, int]]:
    """How many whole numbers each place of a Box may take, and the first; none where they are too many."""
    low, high = space.low.reshape(-1).tolist(), space.high.reshape(-1).tolist()
    counts = [(int(h) - int(n) + 1, int(n)) for n, h in zip(low, high)]
    return counts if sum(count for count, _ in counts) <= MOST_CHOICES else []


def _choices(space: Space) -> list[tuple[int, int]]:
    """How many values each number of a leaf may take, and the first of them."""
    if isinstance(space, Discrete):
        return [(space.n, space.start)]
    if isinstance(space, MultiDiscrete):
        return list(zip(space.nvec.reshape(-1).tolist(), space.start.reshape(-1).tolist()))
    if isinstance(space, MultiBinary):
        return [(2, 0)] * math.prod(space.shape)
    assert isinstance(space, Box)
    return _choices_of_box(space)

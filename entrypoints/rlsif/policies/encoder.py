"""What a policy sees of an observation: one vector of floats, or an image [height, width, channels].

The vector is the one that RLlib's preprocessors make (ray/rllib/models/preprocessors.py): integers one-hot,
everything else as float32, the parts of Dict and Tuple one after the other. An image keeps its numbers, a byte each
where its space has uint8; where its channels come first they become its last axis. Images beside other things are
parts of the vector, and networks take them out of it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.spaces import (
    Box,
    Discrete,
    Masked,
    MultiBinary,
    MultiDiscrete,
    Other,
    Space,
    described,
    has_channels_first,
    has_images,
    is_image,
    leaves,
)

Array = NDArray[Any]
# A one-hot vector that is longer is told to be a mistake: the first layer would have a row for each of its places.
LONGEST_ONE_HOT = 20_000

# Of the board of a game, [rows, columns, planes]: more are an image.
MOST_ROWS = 24
# RLlib takes an image of this shape for Atari's screen, whose edges it cuts off; on its side it is another.
OF_ATARI = (210, 160, 3)
# What a network sees: a vector or an image by its shape, or a vector of several parts by their shapes.
Seen = Union[Tuple[int, ...], Tuple[Tuple[int, ...], ...]]


def has_parts(seen: Seen) -> bool:
    """Whether a network sees a vector of several parts."""
    return not isinstance(seen[0], int)


def shapes_of(seen: Seen) -> Sequence[tuple[int, ...]]:
    """The shapes of all parts; of what has none, its own."""
    return seen if has_parts(seen) else [seen]  # type: ignore[return-value, list-item]


class MisfitError(ValueError):
    """An observation that is not of its space; says in which way."""


def unsupported(space: Space) -> str | None:
    """Why observations of this space cannot be encoded, in a few words; None where they can."""
    parts = list(leaves(space))
    if not parts:
        return f"observations are {described(space)}, with nothing in them"
    for path, part in parts:
        name = "".join(f"[{step!r}]" for step in path)
        if isinstance(part, Other):
            return f"observations{name} are {part.kind}, which has no fixed shape"
        if isinstance(part, (Discrete, MultiDiscrete)) and width(part) > LONGEST_ONE_HOT:
            return (
                f"observations{name} are {described(part)}, a one-hot vector of {width(part):,};"
                f" {LONGEST_ONE_HOT:,} is the most: give them as a Box of numbers"
            )
        if isinstance(space, Masked) and path and _is_board(part):
            continue
        if isinstance(space, Masked) and is_image(part):
            return (
                f"observations{name} are an image beside an action mask, for which there is no network: give what it"
                " shows as a vector, or leave the mask out"
            )
        if not path and width(part) == 0:
            return f"observations are {described(part)}, with nothing in them"
    return None


def _is_board(space: Space) -> bool:
    """Whether a Box of three dimensions is small enough to be seen as a vector: beside a mask nothing else can be."""
    return isinstance(space, Box) and is_image(space) and max(space.shape[:2]) <= MOST_ROWS


def width(space: Space) -> int:
    """How many floats a space takes in the vector."""
    if isinstance(space, Discrete):
        return space.n
    if isinstance(space, MultiDiscrete):
        return int(space.nvec.sum())
    if isinstance(space, (Box, MultiBinary)):
        return math.prod(space.shape)
    return sum(width(part) for _, part in leaves(space))


class ObservationEncoder:
    """Encodes observations of a space, one or many at once."""

    def __init__(self, space: Space) -> None:
        """Take a space that `unsupported` has nothing against."""
        self.is_image = is_image(space)
        # Of one encoded observation.
        self.shape: tuple[int, ...] = (width(space),)
        self.dtype: np.dtype[Any] = np.dtype(np.float32)
        self._axes = _axes(space)
        if isinstance(space, Box) and self.is_image:
            self.shape = _in_order(space)
            # The learner takes no float64.
            kinds = {"i": space.dtype, "u": space.dtype, "b": np.dtype(np.uint8)}
            self.dtype = kinds.get(space.dtype.kind, self.dtype)
        # What a network sees of it.
        self.seen: Seen = self.shape
        if has_images(space) and not self.is_image:
            self.seen = tuple(_in_order(leaf) if is_image(leaf) else (width(leaf),) for _, leaf in leaves(space))
        self._parts: list[tuple[tuple[Any, ...], _Part]] = []
        at = 0
        for path, leaf in leaves(space):
            size = width(leaf)
            self._parts.append((path, _Part(leaf, slice(at, at + size))))
            at += size
        # A Box alone is taken as it is; one like this, without a look at its numbers.
        self._box = space if isinstance(space, Box) else None
        self._as_usual = (space.shape, space.dtype) if isinstance(space, Box) else None
        self._is_flat = isinstance(space, Box) and self.shape == space.shape

    def empty(self, number: int) -> Array:
        """Room for so many encoded observations, [number, ...]."""
        return np.zeros((number, *self.shape), self.dtype)

    def into(self, places: Array, row: int, observation: Any, info: Mapping[str, Any]) -> None:
        """Encode one observation into a row of [number, ...]. Raises MisfitError for one that is not of the space.

        `info` came with it; nothing in it is looked at.
        """
        if self._box is not None:
            usual = isinstance(observation, np.ndarray) and (observation.shape, observation.dtype) == self._as_usual
            if usual and self._is_flat:
                places[row] = observation
                return
            value = observation if usual else self._converted(_of_box(observation, self._box))
            if self._axes:
                value = value.transpose(self._axes)
            places[row] = value if self._is_flat else value.reshape(self.shape)
            return
        place = places[row]
        place[...] = 0
        for path, part in self._parts:
            part.into(place, _at(observation, path))

    def one(self, observation: Any, info: Mapping[str, Any]) -> Array:
        """One observation encoded, of `shape`. Raises MisfitError for one that is not of the space."""
        encoded = self.empty(1)
        self.into(encoded, 0, observation, info)
        alone: Array = encoded[0]
        return alone

    def batch(self, observations: Any, number: int, infos: Mapping[str, Any]) -> Array:
        """Encode observations that a vector environment gives as one array, [number, ...], or as a Dict of such.

        `infos` came with them; nothing in it is looked at.
        """
        if self._box is not None:
            values = np.asarray(observations)
            if values.shape != (number, *self._box.shape):
                raise MisfitError(f"the shape of {number} is {list(values.shape)}")
            if self._axes:
                values = values.transpose(0, *(axis + 1 for axis in self._axes))
            # A copy, for environments may write their next observations into the same array.
            return self._converted(values).reshape(number, *self.shape).astype(self.dtype)
        encoded = self.empty(number)
        for path, part in self._parts:
            part.batch(encoded, _at(observations, path))
        return encoded

    def _converted(self, values: Array) -> Array:
        """Numbers of another type than the space's; for bytes of images, only those that are bytes."""
        if self.dtype.kind == "f" or values.dtype == self.dtype:
            return values
        with np.errstate(invalid="ignore"):
            converted = values.astype(self.dtype)
        if (converted != values).any():
            assert self._box is not None
            raise MisfitError(
                f"its numbers are {values.dtype}, from {values.min():g} to {values.max():g}, and the space's are"
                f" {self._box.dtype}"
            )
        return converted


def _axes(space: Space) -> tuple[int, int, int] | None:
    """The order of an image's axes as a network sees them, where it is another than the observation's."""
    if not isinstance(space, Box) or not is_image(space):
        return None
    return (1, 2, 0) if has_channels_first(space.shape) else (1, 0, 2) if space.shape == OF_ATARI else None


def _in_order(image: Space) -> tuple[int, ...]:
    """The shape of an image as a network sees it."""
    return tuple(image.shape[axis] for axis in _axes(image) or (0, 1, 2))  # type: ignore[union-attr]


def _of_box(observation: Any, space: Box) -> Array:
    """An observation as an array of the space's shape, of whatever numbers it has."""
    value = np.asarray(observation)
    if value.shape != space.shape:
        raise MisfitError(_shapes(value, space))
    if value.dtype.kind not in "fiub":
        raise MisfitError(f"its numbers are {value.dtype}, the space's are {space.dtype}")
    return value


def _at(observation: Any, path: tuple[Any, ...]) -> Any:
    """The part of a nested observation."""
    for step in path:
        try:
            observation = observation[step]
        except (KeyError, IndexError, TypeError) as problem:
            raise MisfitError(f"it has no {step!r}") from problem
    return observation


def _shapes(value: Array, space: Space) -> str:
    assert not isinstance(space, Other)
    return f"its shape is {list(value.shape)}, the space's is {list(space.shape)}"  # type: ignore[union-attr]


class _Part:
    """Encodes one leaf of a space into its places of the vector."""

    def __init__(self, space: Space, places: slice) -> None:
        self._space, self._places, self._axes = space, places, _axes(space)
        # Of one-hot vectors: how many places each integer has, the first integer, and where its vector begins.
        self._counts: Array | None = None
        if isinstance(space, Discrete):
            self._counts, self._starts = np.array([space.n]), np.array([space.start])
        elif isinstance(space, MultiDiscrete):
            self._counts, self._starts = space.nvec.reshape(-1), space.start.reshape(-1)
        if self._counts is not None:
            self._offsets = np.concatenate([[0], self._counts.cumsum()[:-1]])

    def into(self, place: Array, value: Any) -> None:
        if isinstance(self._space, Discrete):
            self._integer_into(place, value, self._space)
            return
        value = np.asarray(value)
        if value.shape != self._space.shape:  # type: ignore[union-attr]
            raise MisfitError(_shapes(value, self._space))
        self.batch(place[None], value[None])

    def _integer_into(self, place: Array, value: Any, space: Discrete) -> None:
        """A single integer, by the shortest way: most environments with such observations do little else."""
        try:
            number = operator.index(value.item() if isinstance(value, np.ndarray) else value) - space.start
        except (TypeError, ValueError) as problem:
            raise MisfitError(f"{value!r} is not in {described(space)}") from problem
        if not 0 <= number < space.n:
            raise MisfitError(f"{value!r} is not in {described(space)}")
        place[self._places.start + number] = 1

    def batch(self, encoded: Array, values: Any) -> None:
        values = np.asarray(values)
        if values.dtype.kind not in "fiub":
            raise MisfitError(f"its numbers are {values.dtype}")
        if self._axes:
            values = values.transpose(0, *(axis + 1 for axis in self._axes))
        if self._counts is None:
            encoded[:, self._places] = values.reshape(len(encoded), -1)
            return
        numbers = values.reshape(len(encoded), -1) - self._starts
        with np.errstate(invalid="ignore"):
            chosen = numbers.astype(np.int64)
        if ((chosen < 0) | (chosen >= self._counts) | (chosen != numbers)).any():
            raise MisfitError(f"{values.tolist()} is not in {described(self._space)}")
        columns = chosen + self._offsets + self._places.start
        encoded[np.arange(len(encoded))[:, None], columns] = 1

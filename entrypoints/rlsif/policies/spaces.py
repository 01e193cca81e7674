"""Spaces of observations and actions as plain data, with Gymnasium's names.

`rlsif.envs.spaces` makes them of Gymnasium's; here nothing but NumPy is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

# The largest number that a learner, which computes in float32, can take.
LARGEST = float(np.finfo(np.float32).max)
# Of an image that shows a scene: the least pixels of its longer side, and how bright the brightest can be.
LEAST_SIDE, LEAST_WHITE, WHITE = 32, 128, 255
# In a description, what a MultiDiscrete, or a Box of actions, has beside its shape and its type of numbers.
DETAILS = re.compile(
    r"(?P<shape>MultiDiscrete\[[\d, ]*\]) of \[[\d, ]*\](?: from \[[-\d, ]*\])?"
    r"|(?P<box>Box\[[\d, ]*\] of \w+) from (?:\[.*?\]|\S+) to (?:\[.*?\]|[^\s;,]+)"
)


@dataclass(frozen=True, eq=False)
class Box:
    """Numbers between bounds; `low` and `high` have the shape of the space, and may be infinite."""

    low: NDArray[Any]
    high: NDArray[Any]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a value."""
        return self.low.shape


@dataclass(frozen=True)
class Discrete:
    """The integers `start` to `start` + `n` - 1."""

    n: int
    start: int = 0
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class MultiDiscrete:
    """Several integers, each from `start` to `start` + `nvec` - 1; both have the shape of the space."""

    nvec: NDArray[np.int64]
    start: NDArray[np.int64]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a value."""
        return self.nvec.shape


@dataclass(frozen=True)
class MultiBinary:
    """Zeros and ones."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Composite:
    """A Dict of named parts, in the order in which they are flattened, or a Tuple of parts named 0, 1, ..."""

    names: tuple[Any, ...]
    parts: tuple[Space, ...]
    is_dict: bool


@dataclass(frozen=True)
class ActionMask:
    """Which of a policy's choices are legal: a number for each, which comes with every observation."""

    size: int
    # In the info that reset and step give; else it is a part of the observation.
    in_info: bool


@dataclass(frozen=True)
class Masked:
    """Observations that come with an action mask; `observation` is without it."""

    observation: Space
    mask: ActionMask


@dataclass(frozen=True)
class Other:
    """A kind of space that is not known here, by its name."""

    kind: str


Space = Union[Box, Discrete, MultiDiscrete, MultiBinary, Composite, Masked, Other]
Path = tuple[Any, ...]


def leaves(space: Space, path: Path = ()) -> Iterator[tuple[Path, Space]]:
    """The parts of a space that are no composites, with the names that lead to each, in the order of flattening."""
    if isinstance(space, Masked):
        yield from leaves(space.observation, path)
    elif isinstance(space, Composite):
        for name, part in zip(space.names, space.parts):
            yield from leaves(part, (*path, name))
    else:
        yield path, space


def kind(space: Space) -> str:
    """What the space is called, for messages: `Box`, `Dict`, ..."""
    if isinstance(space, Other):
        return space.kind
    if isinstance(space, Masked):
        return kind(space.observation)
    if isinstance(space, Composite):
        return "Dict" if space.is_dict else "Tuple"
    return type(space).__name__


def described(space: Space, bounds: bool = False) -> str:
    """A space in a few words, for messages: `Box[84, 84, 3] of uint8`, `Tuple of Discrete(3) and Box[2] of float32`.

    With `bounds`, those of a Box, by which actions are scaled: `Box[2] of float32 from -1 to 1`.
    """
    if isinstance(space, Discrete):
        return f"Discrete({space.n})" if not space.start else f"Discrete({space.n}, start={space.start})"
    if isinstance(space, Composite):
        return f"{kind(space)} of {' and '.join(described(part, bounds) for part in space.parts) or 'nothing'}"
    if isinstance(space, Masked):
        return f"{described(space.observation)} with a mask of {space.mask.size} actions"
    if isinstance(space, Other):
        return space.kind
    if isinstance(space, MultiDiscrete):
        counts, starts = np.ravel(space.nvec).tolist(), np.ravel(space.start).tolist()
        return f"MultiDiscrete{list(space.shape)} of {counts}{f' from {starts}' if any(starts) else ''}"
    dtype = f" of {space.dtype}" if isinstance(space, Box) else ""
    limits = f" from {_limit(space.low)} to {_limit(space.high)}" if isinstance(space, Box) and bounds else ""
    return f"{kind(space)}{list(space.shape)}{dtype}{limits}"


def _limit(values: NDArray[Any]) -> str:
    """One number where all are the same."""
    numbers = [f"{value:g}" for value in values.ravel().tolist()]
    return numbers[0] if len(set(numbers)) == 1 else f"[{', '.join(numbers)}]"


def agree(words: str, others: str) -> bool:
    """Whether two descriptions are of the same spaces; runs of earlier versions have fewer details."""
    without = [DETAILS.sub(lambda found: found["shape"] or found["box"], each) for each in (words, others)]
    return words == others or words == without[1] or others == without[0]


def is_image(space: Space) -> bool:
    """Whether convolutions are for it: a Box of three dimensions, as RLlib decides."""
    return isinstance(space, Box) and len(space.shape) == 3


def has_images(space: Space) -> bool:
    """Whether it is one, or has some among its parts."""
    return any(is_image(leaf) for _, leaf in leaves(space))


def has_pixels(space: Space) -> bool:
    """Whether it has images, and each shows a scene, with numbers up to 255 for how bright a pixel is.

    Small ones, and those of few values, are grids, whose numbers tell what stands in a place: 3 of 255 is not dark.
    """
    images = [leaf for _, leaf in leaves(space) if is_image(leaf)]
    return bool(images) and all(isinstance(image, Box) and _shows_a_scene(image) for image in images)


def _shows_a_scene(image: Box) -> bool:
    sides = image.shape[1:] if has_channels_first(image.shape) else image.shape[:2]
    return image.low.min() >= 0 and LEAST_WHITE <= image.high.max() <= WHITE and max(sides) >= LEAST_SIDE


def has_channels_first(image: Sequence[int]) -> bool:
    """Whether an image of this shape is [channels, height, width]; RLlib's convolutions take [height, width, channels].

    Those are few beside both sides, as 4 stacked frames of 84x84 are.
    """
    return 2 * image[0] <= min(image[1:])

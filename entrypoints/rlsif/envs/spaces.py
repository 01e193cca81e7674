"""Gymnasium's spaces as the plain data that policies know, and back."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from rlsif.policies.spaces import Box, Composite, Discrete, MultiBinary, MultiDiscrete, Other, Space


def plain(space: gymnasium.spaces.Space[Any]) -> Space:
    """A space of Gymnasium's as plain data."""
    spaces = gymnasium.spaces
    if isinstance(space, spaces.Box):
        return Box(space.low, space.high, np.dtype(space.dtype))
    if isinstance(space, spaces.Discrete):
        return Discrete(int(space.n), int(space.start))
    if isinstance(space, spaces.MultiDiscrete):
        start = np.asarray(getattr(space, "start", np.zeros_like(space.nvec)))
        return MultiDiscrete(np.asarray(space.nvec, np.int64), start.astype(np.int64), np.dtype(space.dtype))
    if isinstance(space, spaces.MultiBinary):
        return MultiBinary(tuple(space.shape))
    if isinstance(space, spaces.Dict):
        return Composite(tuple(space.spaces), tuple(plain(part) for part in space.spaces.values()), is_dict=True)
    if isinstance(space, spaces.Tuple):
        parts = tuple(plain(part) for part in space.spaces)
        return Composite(tuple(range(len(parts))), parts, is_dict=False)
    return Other(type(space).__name__)


def of_gymnasium(space: Space) -> gymnasium.spaces.Space[Any]:
    """Plain data as a space of Gymnasium's; of those that policies choose from."""
    if isinstance(space, Box):
        return gymnasium.spaces.Box(space.low, space.high, dtype=space.dtype.type)
    if isinstance(space, MultiDiscrete):
        return gymnasium.spaces.MultiDiscrete(space.nvec)
    if isinstance(space, Composite):
        return gymnasium.spaces.Tuple([of_gymnasium(part) for part in space.parts])
    assert isinstance(space, Discrete)
    return gymnasium.spaces.Discrete(space.n)

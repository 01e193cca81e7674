"""What an environment says of a step: whether the episode has ended, and the reward."""

from __future__ import annotations

from typing import Any

import numpy as np

# What nearly all say of an end, looked at by its type alone: it is asked twice a step.
USUAL = frozenset({bool, np.bool_})


class NoEnd(Exception):
    """What an environment gave is neither true nor false."""


def ended(value: Any, name: str) -> bool:
    """`terminated` or `truncated`, which may be the numbers 1 and 0, too. Raises NoEnd; a text would always be true."""
    if type(value) not in USUAL and not (isinstance(value, (int, float, np.number, np.ndarray)) and value in (0, 1)):
        raise NoEnd(f"{name} is {value!r}, which is neither true nor false")
    return bool(value)


def number(reward: Any) -> float:
    """A reward as a number. Raises TypeError, ValueError for what is none; Python would read the one in a text."""
    return float("" if isinstance(reward, str) else reward)

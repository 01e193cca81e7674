"""A user's own numbers: what an environment gives as `info["metrics"]`, one value of each name for an episode.

The value of an episode is the last one that a step of it gave. None and nan stand for no value.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEY = "metrics"
# Among RLlib's histograms, of which it keeps what every episode gave.
HISTORY = "rlsif_metrics"
# The same for what each agent got in it.
OF_AGENTS = "rlsif_returns_of_agents"
# The same for whether the run won it against its opponent: 1, 0, or half of that for a draw.
WON = "rlsif_won"
# Among what RLlib's env runners tell of their speed, of which it gives the mean: the environments' share of the time.
ENV_TIME_SHARE = "rlsif_env_time_share"
# Numbers of one episode, by name.
Metrics = Mapping[str, float]
NONE: Metrics = {}


class NoNumber(ValueError):
    """What was given as a metric is none. Says in words what it is."""


def numbers(given: Any) -> dict[str, float]:
    """What an environment gave, as numbers by name. Raises NoNumber."""
    if not isinstance(given, Mapping):
        raise NoNumber(f'info["{KEY}"] is {given!r}; it must be a dictionary of names and numbers')
    found = {}
    for name, value in given.items():
        number = _number(name, value)
        if not math.isnan(number):
            found[name] = number
    return found


def _number(name: Any, value: Any) -> float:
    if not isinstance(name, str):
        raise NoNumber(f'info["{KEY}"] has the name {name!r}; names must be texts')
    if value is None:
        return math.nan
    try:
        if not isinstance(value, (str, bytes)) and np.ndim(value) == 0:
            return float(value)
    except (TypeError, ValueError):
        pass
    raise NoNumber(f'info["{KEY}"][{name!r}] is {value!r}, which is no number')


class OfCopies:
    """The metrics of episodes in several environments that are stepped one by one."""

    def __init__(self, number: int) -> None:
        """Begin an episode in each."""
        self._given: list[dict[Any, Any]] = [{} for _ in range(number)]

    def take(self, copy: int, info: Mapping[str, Any]) -> None:
        """Note what the info of a step has, if anything."""
        given = info[KEY]
        try:
            self._given[copy].update(given)
        except (TypeError, ValueError):
            numbers(given)
            raise

    def ended(self, copy: int) -> Metrics:
        """The numbers of an episode that ended. Raises NoNumber."""
        given = self._given[copy]
        if not given:
            return NONE
        self._given[copy] = {}
        return numbers(given)


class OfVector:
    """The metrics of episodes in a vector environment, whose infos have an array for each name.

    As Gymnasium's `VectorEnv._add_info` makes them: `_name` beside `name` says for which copies there is a value;
    without it all have one.
    """

    def __init__(self, number: int) -> None:
        """Begin an episode in each of so many copies."""
        self._number = number
        self._values: dict[str, NDArray[Any]] = {}

    @property
    def given(self) -> bool:
        """Whether a step had any so far."""
        return bool(self._values)

    def take(self, infos: Mapping[str, Any], active: NDArray[np.bool_]) -> None:
        """Note what the infos of a step have, of the copies that acted. Raises NoNumber."""
        given = infos.get(KEY)
        if given is None:
            return
        there = active & np.asarray(infos.get(f"_{KEY}", True), np.bool_)
        if not isinstance(given, Mapping):
            numbers(next((each for each in np.ravel(given)[:1]), given))
        for name, values in given.items():
            if isinstance(name, str) and name.startswith("_") and name[1:] in given:
                continue
            self._note(name, values, there & np.asarray(given.get(f"_{name}", True), np.bool_))

    def _note(self, name: Any, values: Any, there: NDArray[np.bool_]) -> None:
        array = np.asarray(values)
        if array.ndim == 0 or len(array) != self._number:
            raise NoNumber(f'info["{KEY}"][{name!r}] is {values!r}; it must have a number for each copy')
        mine = self._values.get(name)
        if mine is None:
            mine = self._values[name] = np.full(self._number, None, object)
        mine[there] = array[there] if array.ndim == 1 else list(array[there])

    def ended(self, copy: int) -> Metrics:
        """The numbers of an episode that ended. Raises NoNumber."""
        if not self._values:
            return NONE
        given = {name: values[copy] for name, values in self._values.items() if values[copy] is not None}
        for values in self._values.values():
            values[copy] = None
        return numbers(given)


# Of episodes that ended in environments that RLlib steps in this process, in the order of their ends.
ENDED: deque[Metrics] = deque()

"""The rollout buffer, and what the algorithms make of it: the columns of RLlib's sample batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class RolloutBuffer:
    """Arrays of [steps, envs, ...], filled step by step.

    Where an environment only begins an episode, its row is not `valid`.
    """

    def __init__(self, capacity: int) -> None:
        """Make room for so many steps; more is made when they are full."""
        self._capacity = capacity
        self._columns: dict[str, Array] = {}
        self.steps = 0

    def __getitem__(self, name: str) -> Array:
        """The rows of a column so far, [steps, envs, ...]."""
        return self._columns[name][: self.steps]

    def add(self, **values: Array) -> None:
        """Append one step, each value of shape [envs, ...]."""
        if self.steps == self._capacity:
            self._capacity *= 2
            self._columns = {n: np.concatenate([c, np.empty_like(c)]) for n, c in self._columns.items()}
        for name, value in values.items():
            column = self._columns.get(name)
            if column is None:
                column = self._columns[name] = np.empty((self._capacity, *value.shape), value.dtype)
            column[self.steps] = value
        self.steps += 1

    def keep_from(self, starts: NDArray[np.intp]) -> None:
        """Forget what lies before `starts`, [envs], and continue behind the rest."""
        first = min(int(starts.min()), self.steps)
        rest = self.steps - first
        for column in self._columns.values():
            column[:rest] = column[first : self.steps]
        self._columns["valid"][:rest] &= np.arange(first, self.steps)[:, None] >= starts
        self.steps = rest


def flat(rows: Mapping[str, Array] | RolloutBuffer, names: list[str], chosen: NDArray[np.bool_]) -> dict[str, Array]:
    """The chosen rows [steps, envs] of each column, one environment after the other: [rows, ...]."""
    by_env = chosen.T
    return {name: rows[name].swapaxes(0, 1)[by_env] for name in names}


def advantages(
    rewards: Array,
    values: Array,
    next_values: Array,
    done: NDArray[np.bool_],
    gamma: float,
    lambda_: float,
    turns: NDArray[np.bool_] | None = None,
) -> tuple[Array, Array]:
    """Generalised advantage estimates and value targets, all [steps, envs].

    `next_values` are those of the next observations, 0 where the episode terminated. As
    ray/rllib/evaluation/postprocessing.py has them; an episode that is cut is bootstrapped. Where agents take turns,
    `turns` are the rows that count, [steps, envs]; the others are passed over.
    """
    estimates = np.empty_like(values)
    deltas = rewards + gamma * next_values - values
    follow = (gamma * lambda_) * ~done
    running = np.zeros_like(values[0])
    for step in reversed(range(len(values))):
        reached = deltas[step] + follow[step] * running
        running = reached if turns is None else np.where(turns[step], reached, running)
        estimates[step] = running
    return estimates, estimates + values


def n_step(rows: Mapping[str, Array], chosen: NDArray[np.bool_], steps_ahead: int, gamma: float) -> dict[str, Array]:
    """Rewards summed over `steps_ahead`, with the observation and the end there; columns of [rows, ...].

    Windows end with an episode and with the rows there are, as in RLlib's `adjust_nstep`. Needs at every chosen row
    of an environment that the next one is chosen, too, or ends its episode.
    """
    names = ["rewards", "new_obs", "terminateds", "truncateds"]
    columns = flat(rows, names, chosen)
    # Where each row's episode ends, or the rows of its environment do.
    env = np.repeat(np.arange(chosen.shape[1]), chosen.sum(axis=0))
    last = columns["terminateds"] | columns["truncateds"] | np.append(env[1:] != env[:-1], True)
    ends = np.flatnonzero(last)
    end = ends[np.searchsorted(ends, np.arange(len(last)))]
    rewards = columns["rewards"].copy()
    for ahead in range(1, steps_ahead):
        there = np.flatnonzero(np.arange(len(last)) + ahead <= end)
        rewards[there] += np.float32(gamma**ahead) * columns["rewards"][there + ahead]
    at = np.minimum(np.arange(len(last)) + steps_ahead - 1, end)
    return {"rewards": rewards, **{name: columns[name][at] for name in names[1:]}}

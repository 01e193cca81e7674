"""RLlib's observation filters, over arrays of observations at once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.layers import Array

# Of RLlib's filter: what is added to a deviation before dividing by it.
SMALL_NUMBER = 1e-8
# Among the filters of policies, by their names, the one whose statistics are of returns.
REWARDS = "rlsif_rewards"
# The largest reward that is learned from, in deviations, as Stable-Baselines3 has it.
LARGEST_REWARD = 10.0


class Statistics(NamedTuple):
    """What a MeanStdFilter of RLlib's goes by: mean and deviation of each place, and the greatest number, if any."""

    mean: Array
    std: Array
    clip: float | None


def statistics_of(rllib_filter: Any) -> Statistics | None:
    """Those of a filter of RLlib's as it is now; None where it changes nothing, or has seen too little to."""
    seen = getattr(rllib_filter, "running_stats", None)
    if seen is None or seen.num_pushes < 2:
        return None
    return Statistics(np.array(seen.mean), np.array(seen.std), rllib_filter.clip)


def filtered(observations: Array, by: Statistics) -> Array:
    """Observations [n, features] as a filter gives them."""
    found: Array = (observations - by.mean) / (by.std + SMALL_NUMBER)
    if by.clip:
        np.clip(found, -by.clip, by.clip, out=found)
    return found.astype(np.float32, copy=False)


class Filtered:
    """Applies a NoFilter or a MeanStdFilter of RLlib's, whose statistics the learner merges and sends back."""

    def __init__(self, rllib_filter: Any) -> None:
        """Take the filter."""
        self.filter = rllib_filter

    def __call__(self, observations: Array) -> Array:
        """Learn from observations [n, features], and give them filtered.

        RLlib learns from one after the other; here each is filtered by all of its step.
        """
        mine = self.filter
        if not hasattr(mine, "running_stats") or not len(observations):
            return observations
        _learn(mine, observations)
        return filtered(observations, Statistics(mine.running_stats.mean, mine.running_stats.std, mine.clip))


class RewardScale:
    """Divides rewards by the running standard deviation of the discounted return, as Stable-Baselines3's VecNormalize.

    The return of a copy is what it got so far in its episode, each step's discounted once more; its statistics are
    those of a MeanStdFilter of RLlib's of the shape [1].
    """

    def __init__(self, rllib_filter: Any, gamma: float, copies: int) -> None:
        """Take the filter."""
        self.filter, self._gamma = rllib_filter, gamma
        self._returns = np.zeros(copies)

    def __call__(self, rewards: Array, active: NDArray[np.bool_], done: NDArray[np.bool_]) -> Array:
        """Learn from rewards [envs] of those that acted, and give them scaled; where `done`, an episode ended."""
        self._returns = np.where(active, self._gamma * self._returns + rewards, self._returns)
        if active.any():
            _learn(self.filter, self._returns[active, None])
        self._returns[done] = 0
        seen = self.filter.running_stats
        # Of all that was seen, where RLlib's own has one less.
        variance = float(seen.sum_sq_diff_array[0]) / max(1, seen.num_pushes)
        scaled: Array = np.clip(rewards / np.sqrt(variance + SMALL_NUMBER), -LARGEST_REWARD, LARGEST_REWARD)
        return scaled


def _learn(mine: Any, observations: NDArray[Any]) -> None:
    """Add observations [n, features] to the statistics of a filter, and to those that the learner takes over."""
    seen = _statistics(observations, type(mine.running_stats))
    mine.running_stats.update(seen)
    mine.buffer.update(seen)
    # What the learner takes over, which is all that a buffer has seen.
    mine.buffer.num_pushes_delta = mine.buffer.num_pushes
    mine.buffer.mean_delta_array = mine.buffer.mean_array.copy()
    mine.buffer.sum_sq_diff_delta_array = mine.buffer.sum_sq_diff_array.copy()


def _statistics(observations: NDArray[Any], running_stat: type) -> Any:
    """The statistics of observations [n, features], as one that has seen nothing else."""
    seen = running_stat(observations.shape[1:])
    seen.num_pushes = seen.num_pushes_delta = len(observations)
    mean = observations.mean(axis=0, dtype=np.float64)
    seen.mean_array = seen.mean_delta_array = mean
    seen.sum_sq_diff_array = seen.sum_sq_diff_delta_array = ((observations - mean) ** 2).sum(axis=0)
    return seen

"""RLlib's observation filters, over arrays of observations at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from rlsif.policies.layers import Array

# Of RLlib's filter: what is added to a deviation before dividing by it.
SMALL_NUMBER = 1e-8


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
        seen = _statistics(observations, type(mine.running_stats))
        mine.running_stats.update(seen)
        mine.buffer.update(seen)
        # What the learner takes over, which is all that a buffer has seen.
        mine.buffer.num_pushes_delta = mine.buffer.num_pushes
        mine.buffer.mean_delta_array = mine.buffer.mean_array.copy()
        mine.buffer.sum_sq_diff_delta_array = mine.buffer.sum_sq_diff_array.copy()
        filtered: Array = (observations - mine.running_stats.mean) / (mine.running_stats.std + SMALL_NUMBER)
        if mine.clip:
            np.clip(filtered, -mine.clip, mine.clip, out=filtered)
        return filtered.astype(np.float32, copy=False)


def _statistics(observations: Array, running_stat: type) -> Any:
    """The statistics of observations [n, features], as one that has seen nothing else."""
    seen = running_stat(observations.shape[1:])
    seen.num_pushes = seen.num_pushes_delta = len(observations)
    mean = observations.mean(axis=0, dtype=np.float64)
    seen.mean_array = seen.mean_delta_array = mean
    seen.sum_sq_diff_array = seen.sum_sq_diff_delta_array = ((observations - mean) ** 2).sum(axis=0)
    return seen

"""Numbers of an update that are none: the weights are spoilt, and no iteration makes them good again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from rlsif.errors import RlsifError

# What DQN tells of its updates in the place of a loss.
OF_WEIGHTS = ("mean_q", "mean_td_error")


class SpoiltWeights(RlsifError):
    """An update made numbers of the weights that are none. Exit code 1."""


def check_finite(statistics: Mapping[str, float]) -> None:
    """Refuse an update that has spoilt the weights. Raises SpoiltWeights; the last checkpoint is from before it."""
    for name, value in statistics.items():
        column = name.rpartition("/")[2]
        if ("loss" in column or column in OF_WEIGHTS) and not math.isfinite(value):
            raise SpoiltWeights(
                f"{name} is {value} after an update, and so are the weights; a smaller lr or grad_clip helps,"
                " and the last checkpoint is from before it"
            )


def check_weights(weights: Mapping[str, Any]) -> None:
    """Refuse weights that no checkpoint is to have, by the names of their arrays. Raises SpoiltWeights."""
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise SpoiltWeights(
                f"the weights {name} are no finite numbers after an update; a smaller lr or grad_clip helps,"
                " and the last checkpoint is from before it"
            )

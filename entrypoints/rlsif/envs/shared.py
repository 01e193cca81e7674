"""What several processes step, in memory that they share: a row for each copy of an environment.

The memory has no name: nothing is left of it when the last process ends, however it ends, and no other user sees it.
"""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[Any]
# Where arrays begin in the memory: at multiples of a cache's line, in bytes.
LINE = 64


class SharedRows:
    """Rows [n, ...] of a step of n copies, and how far each process is."""

    def __init__(
        self, number: int, shape: Sequence[int], dtype: DTypeLike, processes: int, file: int | None = None
    ) -> None:
        """Make the memory, or take the one of this `file`; encoded observations are [n, *shape]."""
        fields: dict[str, tuple[tuple[int, ...], DTypeLike]] = {
            "observations": ((number, *shape), dtype),
            "begun": ((number, *shape), dtype),
            "rewards": ((number,), np.float64),
            "terminated": ((number,), np.bool_),
            "truncated": ((number,), np.bool_),
            "life_lost": ((number,), np.bool_),
            "progress": ((processes, 3), np.int64),
        }
        sizes = [-(-math.prod(of) * np.dtype(kind).itemsize // LINE) * LINE for of, kind in fields.values()]
        self.file = os.memfd_create("rlsif") if file is None else file
        os.ftruncate(self.file, max(sum(sizes), LINE))
        memory = mmap.mmap(self.file, max(sum(sizes), LINE))
        arrays: dict[str, Array] = {}
        at = 0
        for (name, (of, kind)), size in zip(fields.items(), sizes):
            arrays[name] = np.frombuffer(memory, kind, math.prod(of), at).reshape(of)
            at += size
        # The true next observations, and the first of the episodes that began in the step.
        self.observations, self.begun = arrays["observations"], arrays["begun"]
        self.rewards: NDArray[np.float64] = arrays["rewards"]
        self.terminated: NDArray[np.bool_] = arrays["terminated"]
        self.truncated: NDArray[np.bool_] = arrays["truncated"]
        self.life_lost: NDArray[np.bool_] = arrays["life_lost"]
        # Of each process: env steps and resets since it began, and whether it resets now.
        self.progress: NDArray[np.int64] = arrays["progress"]

"""A replay buffer in checkpoints. Rows that an earlier checkpoint of this process has are linked, not written anew.

A checkpoint is complete or absent, and so are its rows; how long one takes depends on what is new.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.learning.replay_buffer import FOLDER, ArrayReplayBuffer

# The number of the oldest row, and the priorities of all.
STATE = "state.npz"
PARTS = "rows_*.npz"
# Rows of one file.
ROWS = 4096


class SavedRows:
    """Writes the rows of one buffer into checkpoints, and reads them."""

    def __init__(self, buffer: ArrayReplayBuffer, folder: str = FOLDER) -> None:
        """Take the buffer, and its folder in each checkpoint."""
        self._buffer, self._folder = buffer, folder
        # The files that this process has written or read, by name: their inodes, for others may have the same name.
        self._there: dict[str, int] = {}

    def save(self, checkpoint: Path) -> None:
        """Add rows and priorities to a checkpoint that is being made. Raises OSError."""
        folder = checkpoint / self._folder
        folder.mkdir(parents=True)
        for first, end in self._parts():
            self._save_part(checkpoint, first, end)
        np.savez(folder / STATE, first=self._buffer.first, **(self._buffer.priorities() or {}))
        self._there = {path.name: path.stat().st_ino for path in folder.glob(PARTS)}

    def restore(self, checkpoint: Path) -> None:
        """Fill the buffer with what a checkpoint has; leave it empty where that has none."""
        folder = checkpoint / self._folder
        parts = sorted(folder.glob(PARTS))
        if not parts:
            return
        state = _load(folder / STATE)
        first = int(state.pop("first"))
        self._buffer.begin_at(first)
        # One after the other, for a buffer may take most of the memory.
        for part in parts:
            # Of the oldest file some rows may be gone.
            gone = max(0, first - _first(part))
            self._buffer.add({name: column[gone:] for name, column in _load(part).items()})
        self._buffer.prioritize(state)
        self._there = {path.name: path.stat().st_ino for path in parts}

    def _parts(self) -> Iterator[tuple[int, int]]:
        """First and end of each file: whole ones, but for the newest."""
        first, end = self._buffer.first, self._buffer.end
        for begin in range(first // ROWS * ROWS, end, ROWS):
            yield begin, min(begin + ROWS, end)

    def _save_part(self, checkpoint: Path, first: int, end: int) -> None:
        """Link a file that an earlier checkpoint has, or write what is there of its rows."""
        name, folder = _name(first, end), checkpoint / self._folder
        for earlier in checkpoint.parent.glob(f"*/{self._folder}/{name}") if name in self._there else ():
            if _linked(earlier, folder / name, self._there[name]):
                return
        start = max(first, self._buffer.first)
        rows: dict[str, Any] = self._buffer.rows(start, end)
        np.savez(folder / _name(start, end), **rows)


def _name(first: int, end: int) -> str:
    return f"rows_{first:012d}_{end:012d}.npz"


def _first(part: Path) -> int:
    return int(part.stem.split("_")[1])


def _load(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def _linked(earlier: Path, new: Path, inode: int) -> bool:
    """Whether the new name was given to that very file; not every file system has more than one for a file."""
    try:
        if earlier.stat().st_ino != inode:
            return False
        os.link(earlier, new)
    except OSError:
        return False
    return True

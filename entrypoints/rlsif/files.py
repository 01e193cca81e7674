"""Writing that leaves a file whole or as it was."""

from __future__ import annotations

import os
from pathlib import Path


def append(path: Path, data: bytes) -> None:
    """Add to a file all or nothing. Raises OSError."""
    with path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            while data:
                data = data[file.write(data) :]
        except OSError:
            file.truncate(size)
            raise


def replace(path: Path, text: str) -> None:
    """Write a file so that it is there whole or as it was. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)

"""Writing that leaves a file whole or as it was."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Have an OSError name the file; one of a full disk does not."""
    try:
        yield
    except OSError as problem:
        problem.filename = problem.filename or str(path)
        raise


def append(path: Path, data: bytes) -> None:
    """Add to a file all or nothing. Raises OSError."""
    with _named(path), path.open("ab", buffering=0) as file:
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
    with _named(path), partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)

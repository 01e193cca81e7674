"""The run that this process belongs to: trials of a sweep share a Ray, and each hears of its own processes alone."""

from __future__ import annotations

# Empty where one run has the Ray for itself.
_RUN = [""]


def belongs_to(run: str) -> None:
    """Have what this process tells be for a run, of several on one Ray."""
    _RUN[0] = run


def run() -> str:
    """The run that this process tells of itself."""
    return _RUN[0]

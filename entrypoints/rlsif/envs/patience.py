"""A bound for what this process asks of an environment itself, before the env runners do."""

from __future__ import annotations

import contextlib

from rlsif.errors import ended_unless_over

# Seconds; as --env-timeout has them where it is not given.
PATIENCE = 300.0


def bounded(env: str, seconds: float = PATIENCE) -> contextlib.AbstractContextManager[None]:
    """End this process, with a sentence, where an environment does not come back in time; nothing is written yet."""
    when = "while it was made, reset and stepped once; `train --env-timeout` gives it longer"
    return ended_unless_over(seconds, f"environment {env!r} has not come back for {seconds:g} s {when}")

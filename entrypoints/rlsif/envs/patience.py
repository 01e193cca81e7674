"""A bound for what this process asks of an environment itself, before the env runners do."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

from rlsif.errors import FAILED_RUN, Terminal

# Seconds; as --env-timeout has them where it is not given.
PATIENCE = 300.0


@contextlib.contextmanager
def bounded(env: str, seconds: float = PATIENCE) -> Iterator[None]:
    """End this process, with a sentence, where an environment does not come back in time: no exception would reach it.

    Nothing has been written by then.
    """

    def end() -> None:
        said = (
            f"error: environment {env!r} has not come back for {seconds:g} s while it was made, reset and stepped once"
        )
        with contextlib.suppress(OSError):
            os.write(Terminal.stderr, f"{said}; `train --env-timeout` gives it longer\n".encode())
        sys.stdout.flush()
        os._exit(FAILED_RUN)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()

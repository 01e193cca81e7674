"""Do what needs conda channels, or end with one sentence that names them; for conda_prefix.py and layer_conda.py."""

import asyncio
import os
import sys
from collections.abc import Coroutine
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")
# Channels that have not served everything by then are given up.
SECONDS = 600


def run(work: Coroutine[Any, Any, T], channels: list[str]) -> T:
    """What the work gives. Ends this process where a channel does not serve it, or no solution is there."""
    names = ", ".join(channels)
    try:
        return asyncio.run(asyncio.wait_for(work, SECONDS))
    except asyncio.TimeoutError:
        end(1, f"error: {names} did not serve its packages within {SECONDS} s")
    # py-rattler's own are many, with nothing in common.
    except Exception as problem:
        reason = "; ".join(line.strip() for line in str(problem).splitlines() if line.strip())
        end(1, f"error: conda packages from {names}: {reason}")


def end(code: int, message: str = "") -> NoReturn:
    """End without shutting Python down: py-rattler's threads now and then crash an interpreter that does."""
    if message:
        print(message, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

"""A process that steps copies of an environment for an env runner; `processes.py` starts it and asks it.

Needs neither Ray nor TensorFlow. It ends with the process that started it, whatever its environments do then.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.metrics import Metrics
from rlsif.envs.progress import PROGRESS, RESETTING
from rlsif.envs.shared import SharedRows
from rlsif.envs.vector import Encoder, OneByOne
from rlsif.errors import Elsewhere, RlsifError
from rlsif.policies.actions import ActionAdapter

# What is asked: to step by what a policy chose, to set a task, to close the environments and end.
STEP, TASK, CLOSE = "step", "task", "close"
# Between two looks at how far the environments are, in seconds.
INTERVAL = 0.5


@dataclass(frozen=True)
class Share:
    """The copies that one process steps, and what it needs for that."""

    # The number of the process, of so many; of the first copy that it steps, and of all copies.
    place: int
    processes: int
    first: int
    number: int
    # For each of its copies.
    seeds: Sequence[int | None]
    create: Callable[[], Any]
    encoder: Encoder
    adapter: ActionAdapter


def main() -> None:
    """Answer until there is nobody who asks; the arguments are the numbers of two open files."""
    _end_with_who_started_it()
    connection, file = Connection(int(sys.argv[1])), int(sys.argv[2])
    sys.path[:] = connection.recv()
    share: Share = connection.recv()
    rows = SharedRows(share.number, share.encoder.shape, share.encoder.dtype, share.processes, file)
    served = _Served(share, rows)
    threading.Thread(target=served.publish_now_and_then, daemon=True, name="progress").start()
    connection.send(served.answer(served.begin))
    while True:
        try:
            asked, given = connection.recv()
        except EOFError:
            return
        if asked == CLOSE:
            served.close()
            return
        connection.send(served.answer(served.step if asked == STEP else served.set_task, given))


def _end_with_who_started_it() -> None:
    """Have the kernel end this process when the other end of its standard input is closed.

    A signal does that while an environment computes and no thread of Python's gets its turn.
    """
    line = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    fcntl.fcntl(line, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(line, fcntl.F_SETFL, fcntl.fcntl(line, fcntl.F_GETFL) | os.O_ASYNC)
    if select.select([line], [], [], 0)[0]:
        os._exit(1)


class _Served:
    """The environments of this process."""

    def __init__(self, share: Share, rows: SharedRows) -> None:
        self._share, self._rows = share, rows
        self._mine = slice(share.first, share.first + len(share.seeds))
        self._environments: OneByOne | None = None

    def answer(self, method: Callable[..., Any], *given: Any) -> tuple[bool, Any]:
        """Whether a call went well, and what it gave or raised."""
        try:
            return True, method(*given)
        except (RlsifError, SystemExit) as problem:
            return False, problem
        except Exception as problem:
            said = traceback.format_exception_only(type(problem), problem)
            return False, Elsewhere(list(traceback.extract_tb(problem.__traceback__)), said)
        finally:
            self._publish()

    def begin(self) -> None:
        """Make the environments; `begun` has what they show."""
        share = self._share
        envs = [share.create() for _ in share.seeds]
        self._environments = OneByOne(envs, share.seeds, share.encoder, share.adapter, share.first)
        self._rows.begun[self._mine] = self._environments.observations

    def step(self, chosen: NDArray[Any]) -> dict[int, Metrics]:
        """Step every copy, and write its row; give the metrics of the episodes that ended, by copy."""
        assert self._environments is not None
        rows, mine = self._rows, self._mine
        step = self._environments.step(chosen)
        rows.observations[mine], rows.rewards[mine] = step.observations, step.rewards
        rows.terminated[mine], rows.truncated[mine] = step.terminated, step.truncated
        rows.life_lost[mine] = step.life_lost
        if self._environments.observations is not step.observations:
            rows.begun[mine] = self._environments.observations
        return {self._share.first + copy: metrics for copy, metrics in step.metrics.items()}

    def set_task(self, task: Any) -> None:
        """Tell every copy."""
        assert self._environments is not None
        self._environments.set_task(task)

    def close(self) -> None:
        """Close the environments that were made."""
        if self._environments:
            self._environments.close()

    def publish_now_and_then(self) -> None:
        """Let the env runner know how far a slow step is."""
        while True:
            time.sleep(INTERVAL)
            self._publish()

    def _publish(self) -> None:
        now = PROGRESS.steps, PROGRESS.resets, int(PROGRESS.doing == RESETTING)
        self._rows.progress[self._share.place] = np.array(now)


if __name__ == "__main__":
    main()

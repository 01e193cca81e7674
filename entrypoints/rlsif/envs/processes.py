"""Copies of one environment in processes of their own, each of which steps its share of them.

For environments that keep Python's lock while they step: an env runner then uses as many cores. The rows are those
that the same copies give one by one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.metrics import Metrics
from rlsif.envs.progress import PROGRESS, RESETTING
from rlsif.envs.shared import SharedRows
from rlsif.envs.stepping import CLOSE, STEP, TASK, Share
from rlsif.envs.vector import Encoder, Step
from rlsif.errors import RlsifError
from rlsif.policies.actions import ActionAdapter

Array = NDArray[Any]
# A process that has ended so often, without the end of an episode between, will not do better.
ENDS = 3
# How often it is looked how far slow environments are, in seconds.
POLL = 0.5
# For all environments to close; a run gives its env runners a little longer.
SECONDS_TO_CLOSE = 2.0
# The answer of a process that has ended.
LOST = object()
# Without the working folder first on the path, where a user's file hides a library's.
COMMAND = ("-P", "-m", "rlsif.envs.stepping")


@dataclass
class _Child:
    """A process, and how to ask it."""

    process: subprocess.Popen[bytes]
    connection: Connection

    def ask(self, *what: Any) -> None:
        """Ask; one that has ended is found out about when its answer is read."""
        with contextlib.suppress(OSError):
            self.connection.send(what)

    def answer(self) -> tuple[bool, Any] | None:
        """Whether it went well, and what came of it; None where the process has ended."""
        try:
            said: tuple[bool, Any] = self.connection.recv()
        except (EOFError, OSError):
            return None
        return said

    def end(self, within: float) -> int:
        """Wait so long for its end, in seconds, and end it then; give the exit code."""
        try:
            self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
        code = self.process.wait()
        self.connection.close()
        assert self.process.stdin
        self.process.stdin.close()
        return code


class Processes:
    """Environments in several processes, in each stepped one after the other and reset as soon as its episode ends.

    A process that ends is started again: the episodes of its copies are truncated, and others begin.
    """

    agents: Sequence[str] = ()
    waiting: NDArray[np.bool_] | None = None

    def __init__(
        self,
        create: Callable[[], Any],
        seeds: Sequence[int | None],
        processes: int,
        encoder: Encoder,
        adapter: ActionAdapter,
    ) -> None:
        """Start them, and have each reset its copies with their own seeds; `create` makes a copy, and is pickled.

        Raises what an environment raises.
        """
        number = len(seeds)
        self._rows = SharedRows(number, encoder.shape, encoder.dtype, processes)
        ends = [number * (place + 1) // processes for place in range(processes)]
        self._shares = [
            Share(place, processes, first, number, seeds[first:end], create, encoder, adapter)
            for place, (first, end) in enumerate(zip([0, *ends], ends))
        ]
        self._children: dict[int, _Child] = {}
        # How often each has ended since an episode of its copies came to an end.
        self._ends = [0] * processes
        # What was set last, in a list; empty while there is none.
        self._task: list[Any] = []
        self._counted = np.zeros_like(self._rows.progress)
        try:
            self._begin(self._shares)
        except BaseException:
            self.close()
            raise
        self.observations = self._rows.begun.copy()
        self.active = np.ones(number, np.bool_)

    def step(self, chosen: Array) -> Step:
        """Step every copy by what a policy chose, [n, ...]."""
        answers = self._asked({share.place: (STEP, chosen[_copies(share)]) for share in self._shares})
        rows = self._rows
        next_obs, rewards = rows.observations.copy(), rows.rewards.copy()
        terminated, truncated, life_lost = rows.terminated.copy(), rows.truncated.copy(), rows.life_lost.copy()
        metrics: dict[int, Metrics] = {}
        for share in self._shares:
            mine, ended = _copies(share), answers[share.place]
            if ended is not LOST:
                metrics.update(ended)
                if (terminated[mine] | truncated[mine]).any():
                    self._ends[share.place] = 0
                continue
            # Nobody knows what the step would have given.
            next_obs[mine], rewards[mine] = self.observations[mine], 0
            terminated[mine], truncated[mine], life_lost[mine] = False, True, False
        self._begin(self._ended([share for share in self._shares if answers[share.place] is LOST]))
        self.observations, done = next_obs, terminated | truncated
        if done.any():
            self.observations = next_obs.copy()
            self.observations[done] = rows.begun[done]
        return Step(next_obs, rewards, terminated, truncated, metrics, life_lost=life_lost)

    def set_task(self, task: Any) -> None:
        """Tell every copy its task. Raises RlsifError for an environment that has none."""
        self._task = [task]
        # One that has ended is told when it is started again, after the next step.
        self._asked({share.place: (TASK, task) for share in self._shares})

    def close(self) -> None:
        """Close every copy, and end the processes."""
        deadline = time.monotonic() + SECONDS_TO_CLOSE
        for child in self._children.values():
            child.ask(CLOSE, None)
        for child in self._children.values():
            child.end(max(0.0, deadline - time.monotonic()))
        self._children = {}
        if self._rows.file >= 0:
            os.close(self._rows.file)
            self._rows.file = -1

    def _begin(self, shares: Sequence[Share]) -> None:
        """Start the processes of shares; `begun` has what their copies show. Raises what an environment raises."""
        while shares:
            for share in shares:
                self._children[share.place] = self._started(share)
            answers = self._answers([share.place for share in shares])
            if self._task:
                answers = self._asked({share.place: (TASK, self._task[0]) for share in shares})
            shares = self._ended([share for share in shares if answers[share.place] is LOST])

    def _started(self, share: Share) -> _Child:
        ours, theirs = Pipe()
        numbers = theirs.fileno(), self._rows.file
        self._counted[share.place] = self._rows.progress[share.place] = 0
        process = subprocess.Popen(
            [sys.executable, *COMMAND, *map(str, numbers)],
            stdin=subprocess.PIPE,
            pass_fds=numbers,
            # Each has one core; Ray tells its own process of all cores of the env runner.
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            # Ctrl-C is for the run alone, which ends its processes when it has a checkpoint.
            process_group=0,
        )
        theirs.close()
        child = _Child(process, ours)
        # Where the second is read, modules are found.
        for what in (sys.path, share):
            with contextlib.suppress(OSError):
                ours.send(what)
        return child

    def _asked(self, what: Mapping[int, Sequence[Any]]) -> dict[int, Any]:
        """Ask processes, by their places, and give what they answer, or LOST. Raises what an environment raises."""
        for place, asked in what.items():
            self._children[place].ask(*asked)
        return self._answers(list(what))

    def _answers(self, places: Sequence[int]) -> dict[int, Any]:
        """Wait for the answers of all; the environments of the first place that raised something decide what is raised.

        Meanwhile heartbeats have how far the environments are.
        """
        waiting = {self._children[place].connection: place for place in places}
        said: dict[int, tuple[bool, Any] | None] = {}
        before = PROGRESS.doing
        try:
            while waiting:
                for connection in wait(list(waiting), POLL):
                    assert isinstance(connection, Connection)
                    place = waiting.pop(connection)
                    said[place] = self._children[place].answer()
                self._count()
                PROGRESS.doing = RESETTING if self._rows.progress[:, 2].any() else before
        finally:
            PROGRESS.doing = before
        for _, answer in sorted(said.items()):
            if answer and not answer[0]:
                raise answer[1]
        return {place: LOST if answer is None else answer[1] for place, answer in said.items()}

    def _count(self) -> None:
        now = self._rows.progress.copy()
        steps, resets, _ = (now - self._counted).sum(axis=0).tolist()
        PROGRESS.steps += steps
        PROGRESS.resets += resets
        self._counted = now

    def _ended(self, shares: Sequence[Share]) -> list[Share]:
        """Tell of processes that have ended; give what new ones are to begin with. Raises RlsifError after too many."""
        for share in shares:
            code = self._children[share.place].end(SECONDS_TO_CLOSE)
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            first, last = share.first, share.first + len(share.seeds) - 1
            of = f"copies {first} to {last}" if last > first else f"copy {first}"
            self._ends[share.place] += 1
            if self._ends[share.place] >= ENDS:
                raise RlsifError(
                    f"the process that steps {of} of the environment ended {ENDS} times before an episode ended in it;"
                    f" at last it {how}; an environment that calls os._exit does that, or a library of it that crashes"
                )
            PROGRESS.lost += 1
            PROGRESS.lost_how = (
                f"the process that steps {of} of the environment {how}, and was started again; their episodes count as"
                " truncated"
            )
            print(f"warning: {PROGRESS.lost_how}", flush=True)
        # The same seeds would bring the same episodes again.
        return [replace(share, seeds=[None] * len(share.seeds)) for share in shares]


def _copies(share: Share) -> slice:
    return slice(share.first, share.first + len(share.seeds))

"""What a run does to its process: libraries' noise goes to a file, signals wait for the iteration."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from rlsif.errors import Terminal


class Signals:
    """Notes SIGINT and SIGTERM instead of dying of them; a second SIGINT ends the process at once."""

    def __enter__(self) -> Signals:
        self.caught: int | None = None
        self._at = 0.0
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        """Take the signals, again after others took them."""
        for number in self._before:
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        if self.caught is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.caught = number
        self._at = time.monotonic()

    @property
    def name(self) -> str:
        """The name of the signal, as SIGTERM."""
        return signal.Signals(self.caught).name if self.caught else ""

    def waited_long(self, seconds: float) -> bool:
        """Whether a signal came more than so many seconds ago."""
        return self.caught is not None and time.monotonic() - self._at > seconds


@contextlib.contextmanager
def noise_into(log: Path) -> Iterator[IO[str]]:
    """Send all that libraries print to a file; give a stream to the user's terminal."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = [os.dup(1), os.dup(2)]
    with log.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        Terminal.stderr = saved[1]
        try:
            with os.fdopen(os.dup(saved[0]), "w") as terminal:
                yield terminal
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            Terminal.stderr = 2
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)

"""Ends a trial whose environments stand still, which Ray Tune would wait for indefinitely."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from rlsif.cluster import heartbeat
from rlsif.errors import RlsifError
from rlsif.training.progress import Watch

# By which a thread of this process wakes the one that waits for an environment.
WAKES = signal.SIGUSR1


class Watching:
    """A thread that reads the heartbeats of a trial while its process builds or steps the algorithm."""

    def __init__(self, run: str, patience: float) -> None:
        """Begin; an environment without a step for `patience` seconds stands still. To be called in the main thread."""
        self._run, self._watch = run, Watch(0, patience)
        self._problem: RlsifError | None = None
        self._looks, self._over = threading.Event(), threading.Event()
        signal.signal(WAKES, self._raise)
        threading.Thread(target=self._look_out, daemon=True, name="watching").start()

    @property
    def found_one(self) -> bool:
        """Whether an environment stands still, and its env runner will answer no more."""
        return self._problem is not None

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Look meanwhile. Raises StandsStill, KeepsEnding in the place where the main thread waits."""
        self._watch.begin()
        self._looks.set()
        try:
            yield
        finally:
            self._looks.clear()

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def _look_out(self) -> None:
        while not self._over.wait(heartbeat.INTERVAL):
            if not self._looks.is_set():
                continue
            try:
                self._watch.look(heartbeat.read(self._run))
            except RlsifError as problem:
                self._problem = problem
                signal.pthread_kill(threading.main_thread().ident or 0, WAKES)
                return

    def _raise(self, *_: Any) -> None:
        if self._problem:
            raise self._problem

"""Ends a trial whose environments fail or stand still, while its process waits for them: RLlib would wait on."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from rlsif.cluster import failures, heartbeat
from rlsif.errors import RlsifError
from rlsif.training.learner_host import RunFailed, failed
from rlsif.training.progress import Watch

# By which a thread of this process wakes the one that waits for an environment.
WAKES = signal.SIGUSR1


def raise_what_was_reported(run: str) -> None:
    """Raise RunFailed where an env runner of a run has reported a failure."""
    failure = failures.reported(run)
    if failure:
        raise RunFailed(failure.sentence or failed(failure.traceback))


class Watching:
    """A thread that reads what env runners of a trial tell while its process builds or steps the algorithm."""

    def __init__(self, run: str, patience: float) -> None:
        """Begin; an environment without a step for `patience` seconds stands still."""
        self._run, self._watch = run, Watch(0, patience)
        self._problem: RlsifError | None = None
        self._looks, self._over = threading.Event(), threading.Event()
        # Held while the main thread is woken, or stops to be wakeable.
        self._waking = threading.Lock()
        threading.Thread(target=self._look_out, daemon=True, name="watching").start()

    @property
    def found_one(self) -> bool:
        """Whether an environment has failed or stands still, so that its env runner may answer no more."""
        return self._problem is not None

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Look meanwhile, in the main thread. Raises RunFailed, StandsStill, KeepsEnding instead of waiting on."""
        self._watch.begin()
        before = signal.signal(WAKES, self._raise)
        self._looks.set()
        try:
            try:
                yield
            finally:
                with self._waking:
                    self._looks.clear()
        except KeyboardInterrupt:
            # Woken, if only while it stopped to be wakeable.
            if self._problem is None:
                raise
            raise self._problem from None
        finally:
            signal.signal(WAKES, before)

    def end(self) -> None:
        """Look no more."""
        self._over.set()

    def _look_out(self) -> None:
        while not self._over.wait(heartbeat.INTERVAL):
            if not self._looks.is_set():
                continue
            try:
                raise_what_was_reported(self._run)
                self._watch.look(heartbeat.read(self._run))
            except RlsifError as problem:
                self._problem = problem
                self._wake()
                return

    def _wake(self) -> None:
        with self._waking:
            if self._looks.is_set():
                signal.pthread_kill(threading.main_thread().ident or 0, WAKES)

    def _raise(self, *_: Any) -> None:
        # While Ray waits, it lets nothing else pass.
        raise KeyboardInterrupt

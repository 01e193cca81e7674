"""What all workers of a run share, prepared beside their first tests: rl.sif, and the process that forks.

The process that starts the workers prepares it. A worker waits for it when a test first needs it.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

from rlsif.images.apptainer import find
from tests.commands import CHECKOUT, forks

IMAGE = CHECKOUT / "rl.sif"
BUILD = ("make", "--silent", "image-cpu")
# An image from nothing takes some minutes.
SECONDS = 1800


class Preparing:
    """Prepares in a thread; each thing is there when the file of its name is. The file says what went wrong, if any."""

    def __init__(self, build, folders):
        """Begin: build the image if asked to, then start the process that forks, which sees these folders."""
        self.folder = Path(tempfile.mkdtemp(prefix="rlsif-run-", dir="/tmp"))
        self.log = self.folder / "log"
        self._folders, self._held, self._over = folders, ExitStack(), threading.Event()
        self._process = self._start() if build else None
        self._thread = threading.Thread(target=self._prepare, daemon=True)
        self._thread.start()

    def _start(self):
        with self.log.open("w") as log:
            return subprocess.Popen(
                BUILD, cwd=CHECKOUT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )

    def _prepare(self):
        failed = self._process is not None and self._process.wait() != 0
        self._tell("image", f"rl.sif could not be built:\n{self.log.read_text()}" if failed else "")
        there = not (failed or self._over.is_set()) and IMAGE.exists() and find()
        try:
            socket = self._held.enter_context(forks(there.program, IMAGE, *self._folders)) if there else ""
        except AssertionError:
            # Whoever needs it starts one, and sees why that fails.
            socket = ""
        self._tell("forks", str(socket))

    def _tell(self, what, text):
        partial = self.folder / f"{what}.partial"
        partial.write_text(text)
        partial.rename(self.folder / what)

    def close(self):
        """End all of it."""
        self._over.set()
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
        self._thread.join()
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def prepared(folder, what):
    """Wait until it is there; give what its file says."""
    deadline = time.monotonic() + SECONDS
    while not (folder / what).exists():
        assert time.monotonic() < deadline, f"{what} was not there after {SECONDS} s"
        time.sleep(0.2)
    return (folder / what).read_text()

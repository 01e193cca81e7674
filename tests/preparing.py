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
PYTHON = CHECKOUT / ".venv/bin/python"
# Apptainer first, and what it needs to build: some tests need both without an image.
APPTAINER = (
    ("make", "--silent", "host"),
    (PYTHON, "-m", "rlsif.commands.images", "ensure-apptainer"),
    (PYTHON, "-c", "from rlsif.images.apptainer import build_options, find; build_options(find().runtime)"),
)
BUILD = ("make", "--silent", "image-cpu")
# An image from nothing takes some minutes.
SECONDS = 1800


class Preparing:
    """Prepares in a thread; each thing is there when the file of its name is. The file says what went wrong, if any."""

    def __init__(self, build, folders):
        """Begin: build the image if asked to, then start the process that forks, which sees these folders."""
        self.folder = Path(tempfile.mkdtemp(prefix="rlsif-run-", dir="/tmp"))
        self.log = self.folder / "log"
        self._folders, self._held, self._process, self._over = folders, ExitStack(), None, False
        self._thread = threading.Thread(target=self._prepare, args=(build,), daemon=True)
        self._thread.start()

    def _prepare(self, build):
        self._tell("apptainer", self._run(*APPTAINER) if build else "")
        failed = self._run(BUILD) if build else ""
        self._tell("image", failed)
        there = not (failed or self._over) and IMAGE.exists() and find()
        try:
            socket = self._held.enter_context(forks(there.program, IMAGE, *self._folders)) if there else ""
        except AssertionError:
            # Whoever needs it starts one, and sees why that fails.
            socket = ""
        self._tell("forks", str(socket))

    def _run(self, *commands):
        """Run commands, one after the other; give what they said where one failed."""
        for command in commands:
            if self._over:
                return "the run is over"
            with self.log.open("a") as log:
                self._process = subprocess.Popen(
                    command, cwd=CHECKOUT, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
                )
            if self._process.wait() != 0:
                return self.log.read_text()
        return ""

    def _tell(self, what, text):
        partial = self.folder / f"{what}.partial"
        partial.write_text(text)
        partial.rename(self.folder / what)

    def close(self):
        """End all of it."""
        self._over = True
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

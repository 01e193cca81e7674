"""Typing the image's commands: as a user does, or in forks of a process that has imported RLlib already."""

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.image.asking import ask

CHECKOUT = Path(__file__).parents[1]
# A run starts in some ten seconds; no test waits longer than this for one, beside others.
SECONDS = 600


@dataclass
class Container:
    """Types commands as a user does: `apptainer exec rl.sif ...`, in a folder of the test's own."""

    apptainer: Path
    image: Path
    folder: Path

    def command(self, *arguments, verb=("exec",)):
        return [self.apptainer, *verb, "--bind", self.folder, self.image, *arguments]

    def __call__(self, *arguments, verb=("exec",), env=None):
        done = self._run([str(a) for a in arguments], verb, env or {})
        # Shown by pytest when the test fails.
        print(f"$ {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}-> {done.returncode}")
        return done

    def _run(self, arguments, verb, env):
        return subprocess.run(
            self.command(*arguments, verb=verb),
            cwd=self.folder,
            env={**os.environ, **env},
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )

    def train(self, *arguments):
        return self("train", *arguments, "--results-dir", self.folder / "results")

    def start(self, *arguments):
        """Start a command in a session of its own, its output in `output`."""
        output = (self.folder / "output").open("w")
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def runs(self):
        return sorted((self.folder / "results").glob("*/*"))


@dataclass
class Shell(Container):
    """Types commands of an image that is mounted already, where RLlib is imported already."""

    forks: Path

    def _run(self, arguments, verb, env):
        # All folders of tests are there.
        assert verb[0] == "exec" and set(verb[1::2]) <= {"--bind"}, verb
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as error, Path(os.devnull).open() as nothing:
            files = [nothing.fileno(), output.fileno(), error.fileno()]
            request = {"arguments": arguments, "env": env, "cwd": str(self.folder)}
            try:
                code = ask(self.forks, request, files, SECONDS)
            except (OSError, EOFError) as problem:
                said = "\n".join([*_texts(output, error), *self._logs()])
                raise AssertionError(f"no answer of the process that forks: {problem!r}\n{said}") from None
            return subprocess.CompletedProcess(arguments, code, *_texts(output, error))

    def _logs(self):
        """The ends of the logs of runs in this folder, and of the process that forks."""
        for log in [*self.folder.rglob("train.log"), self.forks.with_name("log")]:
            yield f"== {log}\n{log.read_text(errors='replace')[-20000:]}"

    def start(self, *arguments):
        raise NotImplementedError("signals are for a real process: use `container`")


def _texts(*files):
    """All that is in these files."""
    for file in files:
        file.seek(0)
        yield file.read().decode()


@contextlib.contextmanager
def forks(apptainer, image, *folders):
    """Start the process that forks, in an image that sees these folders; give the path of its socket.

    It ends with this process, however that ends.
    """
    # Paths of sockets end at 107 characters.
    folder = Path(tempfile.mkdtemp(prefix="rlsif-forks-", dir="/tmp"))
    path = folder / "socket"
    binds = [f"--bind={place}" for place in (CHECKOUT, *folders)]
    command = [apptainer, "exec", *binds, image, "python", CHECKOUT / "tests/image/forks.py", path]
    with (folder / "log").open("w") as log:
        # As in local mode, and in env runners: NumPy looks for it when it is imported, which is before a fork.
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=folder, env=env)
    try:
        deadline = time.monotonic() + 60
        while not path.exists():
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.05)
        yield path
    finally:
        process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=30)
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)

"""What tests of the images share."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from rlsif.images.apptainer import find
from rlsif.images.sif import Images

CHECKOUT = Path(__file__).parents[1]
# A run starts in some ten seconds; no test waits longer than this for one.
SECONDS = 300


@pytest.fixture(scope="session")
def apptainer():
    found = find()
    if found is None:
        pytest.skip("needs Apptainer; `make image-cpu` installs it where that is possible")
    return found.program


@pytest.fixture(scope="session")
def images(apptainer):
    return Images(apptainer)


@pytest.fixture(scope="session")
def rl_sif():
    image = CHECKOUT / "rl.sif"
    if not image.exists():
        pytest.skip("needs rl.sif; `make image-cpu` builds it")
    return image


@dataclass
class Container:
    """Types commands as a user does: `apptainer exec rl.sif ...`, in a folder of the test's own."""

    apptainer: Path
    image: Path
    folder: Path

    def command(self, *arguments, verb=("exec",)):
        return [self.apptainer, *verb, "--bind", self.folder, self.image, *arguments]

    def __call__(self, *arguments, verb=("exec",), env=None):
        done = subprocess.run(
            self.command(*arguments, verb=verb),
            cwd=self.folder,
            env={**os.environ, **(env or {})},
            text=True,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
        # Shown by pytest when the test fails.
        print(f"$ {' '.join(map(str, arguments))}\n{done.stdout}{done.stderr}-> {done.returncode}")
        return done

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


@pytest.fixture
def container(apptainer, rl_sif, tmp_path):
    folder = tmp_path / "a folder"
    folder.mkdir()
    yield Container(apptainer, rl_sif, folder)
    shutil.rmtree(folder, ignore_errors=True)

"""Being an ordinary user of a machine: no root, no subordinate ids, a home and a checkout of one's own."""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import spython

CHECKOUT = Path(__file__).parents[1]
NOBODY = 65534
SECONDS = 600


@dataclass
class User:
    """Runs Python with this project's package, in a home of its own."""

    home: Path
    become: list
    python: str

    def __call__(self, code, **variables):
        """Run some lines of Python; the sentence of an RlsifError goes to stderr."""
        lines = f"from rlsif.errors import told_in_one_sentence\nwith told_in_one_sentence():\n    exec({code!r})\n"
        settings = {"HOME": self.home, "TMPDIR": self.home, "PYTHONPATH": self.home / "code", "LC_ALL": "C.UTF-8"}
        environment = {"PATH": os.environ["PATH"], **{name: str(v) for name, v in (settings | variables).items()}}
        command = [*self.become, self.python, "-c", lines]
        done = subprocess.run(
            command, cwd=self.home, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        print(done.stdout + done.stderr)
        return done

    def keep(self, name, text):
        """Write a file of the user's own, below the home."""
        path = self.home / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        for each in (path.parent, path):
            if self.become:
                os.chown(each, NOBODY, NOBODY)


@contextmanager
def ordinary_user():
    """A user without subordinate ids: another than root, where root runs the tests."""
    # Not below pytest's own folder, which is closed to others.
    home = Path(tempfile.mkdtemp(prefix="rlsif-user-", dir="/tmp"))
    try:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / "entrypoints/rlsif", home / "code/rlsif", ignore=ignore)
        shutil.copytree(Path(spython.__file__).parent, home / "code/spython", ignore=ignore)
        become = _become_nobody(home) if os.geteuid() == 0 else []
        yield User(home, become, _python(become))
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _become_nobody(home):
    for path in (home, *home.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    # Setpriv looks for its program as root, and `env` as the user.
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "env"]


def _python(become):
    """A Python that this user may run; that of the tests may be in a home that is closed to others."""
    for python in (sys.executable, "/usr/bin/python3"):
        test = [*become, python, "-c", "import sys; sys.exit(sys.version_info < (3, 9))"]
        if Path(python).exists() and subprocess.run(test, cwd="/", capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("needs a Python 3.9 or later that another user may run, as /usr/bin/python3")

"""The commands of docs/tutorial.md, typed one after the other."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import SECONDS

DOCS = Path(__file__).parents[2] / "docs"
# What stands for Apptainer: the image is mounted already, and a start of it takes longer than most commands.
EXEC = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from asking import ask
_, verb, image, *arguments = sys.argv
assert verb == "exec" and os.path.realpath(image) == os.environ["IMAGE"], sys.argv
request = {{"arguments": arguments, "env": {{}}, "cwd": os.getcwd()}}
sys.exit(ask(os.environ["FORKS"], request, [0, 1, 2], {SECONDS}))
"""


@pytest.mark.long
def test_the_tutorials_commands_work(shell, tmp_path):
    """Five trainings, a sweep and a video, one after the other; two trainings end when they have learned."""
    folder = shell.folder
    (folder / "rl.sif").symlink_to(shell.image)
    shutil.copytree(DOCS.parent / "examples", folder / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    line = shlex.join([sys.executable, "-IS", "-c", EXEC])
    (programs / "apptainer").write_text(f'#!/bin/sh\nexec {line} "$@"\n')
    (programs / "apptainer").chmod(0o755)
    given = {"PATH": f"{programs}:{os.environ['PATH']}", "IMAGE": os.path.realpath(shell.image), "FORKS": shell.forks}
    blocks = re.findall(r"```bash\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.S)
    assert len(blocks) >= 6
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        print(f"{block}\n{done.stdout}{done.stderr}")
        assert done.returncode == 0
    assert (folder / "cartpole.mp4").stat().st_size > 1000
    assert (folder / "report.html").is_file() and (folder / "cores.png").is_file() and (folder / "cores.svg").is_file()


def test_the_page_on_environments_has_one_that_check_likes(shell):
    [code] = re.findall(r"```python\n(import gymnasium\n.*?)```", (DOCS / "environments.md").read_text(), re.S)
    (shell.folder / "mine.py").write_text(code)
    done = shell("check", "mine.py:BasicEnv")
    assert done.returncode == 0 and "warning" not in done.stdout and "error" not in done.stdout
    assert shell.train("--env", "mine.py:BasicEnv", "--stop-reward", "0.95", "--local-mode").returncode == 0

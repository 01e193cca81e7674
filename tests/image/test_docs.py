"""The commands of docs/tutorial.md, typed one after the other."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.commands import SECONDS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.long
def test_the_tutorials_commands_work(container, tmp_path):
    """All of them, as a reader types them: fourteen starts of the image, and trainings until they have learned."""
    folder = container.folder
    (folder / "rl.sif").symlink_to(container.image)
    shutil.copytree(DOCS.parent / "examples", folder / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "apptainer").symlink_to(container.apptainer)
    blocks = re.findall(r"```bash\n(.*?)```", (DOCS / "tutorial.md").read_text(), re.S)
    assert len(blocks) >= 6
    for block in blocks:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block],
            cwd=folder,
            env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "APPTAINER_BIND": str(folder)},
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
    assert shell.train("--env", "mine.py:BasicEnv", "--stop-reward", "0.95").returncode == 0

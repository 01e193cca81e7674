"""The checkers pass, and the tree holds to its own rules."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


def tracked(*patterns):
    listing = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard", "--", *patterns],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [CHECKOUT / name for name in listing.stdout.split("\0") if name and (CHECKOUT / name).is_file()]


def passes(*command):
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ruff():
    passes(sys.executable, "-m", "ruff", "check", ".")


def test_every_room_keeps_its_contract():
    passes(str(Path(sys.executable).parent / "lint-imports"), "--no-cache")


def test_mypy():
    passes(sys.executable, "-m", "mypy")


def test_shellcheck():
    scripts = [str(p) for p in tracked("*.sh", ".ci/run", "slurm/rl", "slurm/local/*")]
    assert scripts
    passes(str(Path(sys.executable).parent / "shellcheck"), "-x", *scripts)


def test_no_package_registry_is_named():
    hosts = re.compile(r"https?://[^\s'\"]*(debian\.org|pypi\.org|pythonhosted|npmjs|anaconda\.org|docker\.io)")
    named = [p for p in tracked() if p.suffix not in (".png", ".svg") and hosts.search(p.read_text(errors="ignore"))]
    assert named == []


def test_make_alone_prints_the_targets():
    printed = subprocess.run(["make"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    for target in ("demo", "image-cpu", "image-gpu", "images", "test", "bench", "lock"):
        assert re.search(rf"(?m)^{target}\s+\S", printed)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_an_old_python_gets_a_sentence(tmp_path):
    fake = tmp_path / "python3"
    fake.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.6.8" && exit 0\nexit 1\n')
    fake.chmod(0o755)
    script = CHECKOUT / "containers/host-venv.sh"
    done = subprocess.run(
        [script, tmp_path / "venv", CHECKOUT / "containers/requirements/host.lock", "3.9"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "python3 is 3.6.8, too old; 3.9 or later is needed" in done.stderr
    assert not (tmp_path / "venv").exists()

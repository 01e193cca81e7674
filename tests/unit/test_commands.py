"""Commands are parsed into what was asked for, by `train` and `sweep` as by the head of a job."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from rlsif.commands import sweep, train
from rlsif.errors import InputError, told_in_one_sentence
from rlsif.sweep.plan import SweepOptions
from rlsif.training.options import TrainOptions
from rlsif.training.stopping import Stop


def test_options_of_train_are_parsed_and_nothing_is_started():
    asked = train.parse(["--env", "A-v0", "--set", "lr=1", "--set", "gamma=1", "--stop-iters", "3", "--resume", "/a b"])
    assert asked == TrainOptions(env="A-v0", settings=("lr=1", "gamma=1"), stop=Stop(iters=3), resume=Path("/a b"))


def test_options_of_sweep_are_parsed_and_nothing_is_started():
    asked = sweep.parse(["--env", "A-v0", "--grid", "lr=1,2", "--num-samples", "2"])
    assert isinstance(asked, SweepOptions)
    assert (asked.base.env, asked.grid, asked.num_samples) == ("A-v0", ("lr=1,2",), 2)


@pytest.mark.parametrize("parse", [train.parse, sweep.parse])
def test_help_and_wrong_options_leave_nothing_to_do(parse, capsys):
    assert parse(["--help"]) == 0
    assert "--env" in capsys.readouterr().out
    assert parse(["--nonsense"]) == 2
    assert "error: No such option: --nonsense" in capsys.readouterr().err


@pytest.mark.fault("a disk refuses what a command has to read or write", promise="one sentence names the file")
def test_what_a_disk_refuses_is_told_in_one_sentence(capsys):
    with pytest.raises(SystemExit, match="1"), told_in_one_sentence():
        raise PermissionError(errno.EACCES, "Permission denied", "/runs/summary.json")
    assert capsys.readouterr().err == "error: /runs/summary.json cannot be read or written: Permission denied\n"
    # A fault of ours is shown with where it is.
    with pytest.raises(SystemExit, match="1"), told_in_one_sentence():
        raise OSError(errno.ENOSPC, "No space left on device")
    assert "error: a file cannot be read or written: No space left on device" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError), told_in_one_sentence():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/runs/summary.json")


def test_what_cannot_be_right_is_told_by_the_parser():
    with pytest.raises(InputError, match="--checkpoint-every is 0; it must be at least 1"):
        train.parse(["--env", "A-v0", "--checkpoint-every", "0"])


def test_help_imports_neither_ray_nor_tensorflow():
    code = "import sys; from rlsif.commands import train; train.parse(['--help']);"
    code += "print([m for m in ('ray', 'tensorflow', 'numpy', 'gymnasium') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"

"""A checkpoint is complete or absent."""

import errno
from pathlib import Path

import pytest

from rlsif.errors import InputError
from rlsif.training import checkpoints
from rlsif.training.checkpoints import CheckpointError, Progress


def progress(iteration, mean=1.0):
    return Progress("PPO", "CartPole-v1", "tf", iteration, iteration * 100, 1.0, [mean], [10])


def save(folder):
    (Path(folder) / "policies").mkdir()
    (Path(folder) / "policies/state.pkl").write_bytes(b"weights" * 1000)


def write(folder, iteration, mean=1.0):
    return checkpoints.write(folder, progress(iteration, mean), save)


def test_reads_what_was_written(tmp_path):
    path = write(tmp_path, 7)
    assert path.name == "checkpoint_000007"
    assert checkpoints.check(path) == progress(7)


@pytest.mark.fault(
    "the disk fills while a checkpoint is written",
    promise="no part of it stays, and the checkpoint before it is kept",
)
def test_a_disk_that_fills_leaves_nothing_new_and_nothing_lost(tmp_path):
    good = write(tmp_path, 1)

    def full(folder):
        save(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointError, match="iteration 2: No space left on device"):
        checkpoints.write(tmp_path, progress(2), full)
    assert list(tmp_path.iterdir()) == [good]
    checkpoints.check(good)


@pytest.mark.fault(
    "the process dies while it writes a checkpoint",
    promise="the unfinished checkpoint is never taken for one",
)
def test_a_process_that_dies_leaves_no_checkpoint(tmp_path):
    def die(folder):
        save(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpoints.write(tmp_path, progress(1), die)
    assert checkpoints.complete(tmp_path) == []
    # What it left is cleared away by the next one.
    write(tmp_path, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint_000001"]


def test_keeps_the_newest_and_the_best(tmp_path):
    for iteration, mean in enumerate([1, 9, 3, 4, 5], start=1):
        write(tmp_path, iteration, mean)
    checkpoints.keep(tmp_path, newest=2)
    assert [p.name[-1] for p in checkpoints.complete(tmp_path)] == ["2", "4", "5"]
    assert checkpoints.best(tmp_path).name == "checkpoint_000002"


def test_evaluations_decide_which_is_the_best(tmp_path):
    for iteration, mean in enumerate([1, 9, 3], start=1):
        write(tmp_path, iteration, mean)
    checkpoints.note_evaluation(tmp_path, 1, -4.0)
    checkpoints.note_evaluation(tmp_path, 3, -2.0)
    assert checkpoints.best(tmp_path).name == "checkpoint_000003"
    assert checkpoints.check(tmp_path / "checkpoint_000003").evaluation_return_mean == -2.0


def test_one_whose_evaluation_has_not_ended_is_kept(tmp_path):
    for iteration, mean in enumerate([1, 9, 3, 4, 5], start=1):
        write(tmp_path, iteration, mean)
    checkpoints.keep(tmp_path, newest=1, pending=1)
    assert [p.name[-1] for p in checkpoints.complete(tmp_path)] == ["1", "2", "5"]


def test_the_evaluation_of_a_deleted_one_is_left_alone(tmp_path):
    checkpoints.note_evaluation(tmp_path, 1, 5.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(
    "a file of a checkpoint was cut short, changed or removed",
    promise="the checkpoint is refused, and the sentence names the one before it",
)
@pytest.mark.parametrize("harm", ["cut", "missing", "changed"])
def test_a_damaged_one_is_refused_and_the_one_before_is_offered(tmp_path, harm):
    write(tmp_path, 1)
    last = write(tmp_path, 2)
    file = last / "policies/state.pkl"
    if harm == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:100] if harm == "cut" else b"WEIGHTS" * 1000)
    with pytest.raises(InputError, match=r"policies/state.pkl .*--resume \S*checkpoint_000001"):
        checkpoints.check(last)


@pytest.mark.fault(
    "the manifest of an older checkpoint is damaged", promise="the run is resumed, evaluated and continues without it"
)
def test_a_damaged_older_one_is_left_out(tmp_path):
    paths = [write(tmp_path, number, mean) for number, mean in ((1, 2.0), (2, 9.0), (3, 3.0))]
    (paths[1] / checkpoints.MANIFEST).write_text('{"progress": {"trai')
    assert checkpoints.best(tmp_path) == paths[2] and checkpoints.due(tmp_path) is None
    checkpoints.keep(tmp_path, 1)
    assert paths[2].exists()


def test_a_damaged_first_one_has_none_before_it(tmp_path):
    only = write(tmp_path, 1)
    (only / "policies/state.pkl").unlink()
    with pytest.raises(InputError, match="there is none before it"):
        checkpoints.check(only)


def test_a_folder_that_is_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a checkpoint"):
        checkpoints.check(tmp_path)

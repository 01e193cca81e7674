"""The files of a run."""

import csv
import errno
import json

import pytest

from rlsif.envs.reference import parse
from rlsif.errors import InputError
from rlsif.training import results
from rlsif.training.checkpoints import Progress
from rlsif.training.results import Row, RunFiles


def iteration(steps, returns=(), **statistics):
    return {
        "returns": list(returns),
        "lengths": [10] * len(returns),
        "num_env_steps_sampled_lifetime": steps,
        "num_healthy_workers": 1,
        "statistics": statistics,
    }


def table(folder):
    with (folder / results.PROGRESS).open() as file:
        return list(csv.DictReader(file))


def test_means_are_over_the_last_100_episodes():
    rows = Row(None)
    rows.add(iteration(100, [0.0] * 100), 1.0)
    row = rows.add(iteration(200, [100.0] * 50), 1.0)
    assert row["env_runners/episode_return_mean"] == 50.0
    assert row["episodes_in_mean"] == 100
    assert row["num_env_steps_sampled_this_iter"] == 100
    assert row["env_steps_per_s"] == 100.0


def test_before_the_first_episode_ends_there_is_no_mean():
    row = Row(None).add(iteration(10), 1.0)
    assert row["env_runners/episode_return_mean"] is None and row["env_runners/env_time_share"] is None


def test_the_environments_share_of_the_time_has_a_column():
    assert Row(None).add({**iteration(10), "env_time_share": 0.75}, 1.0)["env_runners/env_time_share"] == 0.75


def test_a_resumed_run_counts_on():
    before = Progress("PPO", "E", "tf", 4, 400, 8.0, [1.0, 3.0], [5, 5])
    row = Row(before).add(iteration(500, [5.0]), 2.0)
    assert (row["training_iteration"], row["time_total_s"], row["env_runners/episode_return_mean"]) == (5, 10.0, 3.0)


@pytest.mark.fault(
    "an algorithm logs a column only from some iteration on",
    promise="progress.csv has the column, and its earlier rows are kept",
)
def test_columns_that_come_up_later_are_added_to_the_header(tmp_path):
    files, rows = RunFiles(tmp_path), Row(None)
    files.write_row(rows.add(iteration(1), 1.0))
    files.write_row(rows.add(iteration(2, loss=0.5), 1.0))
    assert [r["loss"] for r in table(tmp_path)] == ["", "0.5"]


@pytest.mark.fault(
    "a run ended after its last checkpoint",
    promise="a resumed run takes back the rows after the checkpoint; none is doubled or lost",
)
def test_resuming_takes_back_the_rows_after_the_checkpoint(tmp_path):
    files, rows = RunFiles(tmp_path), Row(None)
    for step in range(1, 6):
        files.write_row(rows.add(iteration(step), 1.0))
    with (tmp_path / results.RESULT).open("a") as file:
        file.write('{"training_iteration": 6, "cut sh')
    RunFiles(tmp_path, resumed_at=3).write_row(Row(Progress("", "", "", 3, 3, 3.0, [], [])).add(iteration(4), 1.0))
    assert [r["training_iteration"] for r in table(tmp_path)] == ["1", "2", "3", "4"]
    assert [r["training_iteration"] for r in results.read_rows(tmp_path)] == [1, 2, 3, 4]


def test_rows_that_are_taken_back_had_other_columns(tmp_path):
    """The first lacks a column, the one that is taken back has one more, and the new one lacks both."""
    files, rows = RunFiles(tmp_path), Row(None)
    for step, told in enumerate(({}, {"loss": 0.5}, {"loss": 0.25, "kl": 0.1}), start=1):
        files.write_row(rows.add(iteration(step, **told), 1.0))
    resumed = RunFiles(tmp_path, resumed_at=2)
    rows = Row(Progress("", "", "", 2, 2, 2.0, [], []))
    for step, told in ((3, {}), (4, {"kl": 0.3, "loss": 0.125})):
        resumed.write_row(rows.add(iteration(step, **told), 1.0))
    written = table(tmp_path)
    assert [(row["training_iteration"], row["loss"], row["kl"]) for row in written] == [
        ("1", "", ""), ("2", "0.5", ""), ("3", "", ""), ("4", "0.125", "0.3"),
    ]  # fmt: skip
    lines = (tmp_path / results.PROGRESS).read_text().splitlines()
    assert len({line.count(",") for line in lines}) == 1 and lines[0].count("loss") == 1
    assert [row.get("kl") for row in results.read_rows(tmp_path)] == [None, None, None, 0.3]


def test_tensorboard_reads_the_folder(tmp_path):
    files = RunFiles(tmp_path)
    files.write_row(Row(None).add(iteration(5, [2.0]), 1.0))
    files.write_summary({})
    assert list(tmp_path.glob("events.out.tfevents*"))
    assert json.loads((tmp_path / results.SUMMARY).read_text()) == {}


def test_the_run_folder_is_named_as_rllib_users_know_it(tmp_path):
    folder = results.new_folder(tmp_path / "with space", "PPO", parse("ALE/Pong-v5"))
    assert folder.parent.name == "ALE_Pong-v5"
    assert folder.name.startswith("PPO_ALE_Pong-v5_2")


@pytest.mark.fault("the results folder cannot be written", promise="the run is refused before it starts")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--results-dir .* cannot be written: Not a directory"):
        results.new_folder(tmp_path / "file", "PPO", parse("E-v0"))


@pytest.mark.fault("the disk refuses a row", promise="the row is written with the next one")
def test_rows_that_the_disk_refused_come_with_the_next(tmp_path, monkeypatch):
    files, rows = RunFiles(tmp_path), Row(None)
    files.write_row(rows.add(iteration(1), 1.0))
    append = results.append
    for refused in (results.RESULT, results.PROGRESS):

        def full(path, data, refused=refused):
            if path.name == refused:
                raise OSError(errno.ENOSPC, "No space left on device")
            append(path, data)

        monkeypatch.setattr(results, "append", full)
        with pytest.raises(OSError, match="No space"):
            files.write_row(rows.add(iteration(rows.env_steps + 1), 1.0))
    monkeypatch.setattr(results, "append", append)
    files.write_row(rows.add(iteration(4), 1.0))
    assert [r["training_iteration"] for r in table(tmp_path)] == ["1", "2", "3", "4"]
    assert [r["training_iteration"] for r in results.read_rows(tmp_path)] == [1, 2, 3, 4]


@pytest.mark.fault(
    "the last row of a run lacks a column of the others",
    promise="the run resumes, and the column is kept",
)
def test_a_column_that_the_last_row_lacks_survives_a_resume(tmp_path):
    files = results.RunFiles(tmp_path)
    files.write_row({"training_iteration": 1, "num_env_steps_sampled_lifetime": 5, "loss": 0.5})
    files.write_row({"training_iteration": 2, "num_env_steps_sampled_lifetime": 9})
    resumed = results.RunFiles(tmp_path, resumed_at=2)
    resumed.write_row({"training_iteration": 3, "num_env_steps_sampled_lifetime": 12, "loss": 0.25})
    lines = (tmp_path / "progress.csv").read_text().splitlines()
    assert lines[0].split(",")[-1] == "loss" and [line.split(",")[-1] for line in lines[1:]] == ["0.5", "", "0.25"]


@pytest.mark.fault("a statistic is nan or infinite", promise="result.json has null, so that it stays JSON")
def test_what_is_no_number_is_null_in_json(tmp_path):
    import json

    results.RunFiles(tmp_path).write_row({"training_iteration": 1, "a": float("nan"), "b": float("inf"), "c": 1.5})

    def refuse(constant):
        raise ValueError(constant)

    [row] = [json.loads(line, parse_constant=refuse) for line in (tmp_path / "result.json").read_text().splitlines()]
    assert (row["a"], row["b"], row["c"]) == (None, None, 1.5)


@pytest.mark.fault(
    "Weights & Biases or MLflow fails at the end of a run",
    promise="summary.json is written all the same, and the failure is told",
)
def test_a_service_that_fails_at_the_end_does_not_take_the_run_with_it(tmp_path, monkeypatch, capsys):
    from rlsif.training import tracking

    def fails():
        raise ConnectionError("the server is gone")

    service = tracking.Service(lambda row, step: None, fails)
    monkeypatch.setitem(tracking.SERVICES, "wandb", lambda *_: service)
    tracking.Tracking(["wandb"], {}, "E-v0", tmp_path).end()
    assert "wandb failed at the end of the run: the server is gone" in capsys.readouterr().out

"""Wrappers from `train` to `evaluate`, in processes of their own."""

import json

import pytest

from tests.unit.test_wrappers import OWN


def test_wrappers_are_in_training_and_in_evaluation(shell):
    (shell.folder / "mine.py").write_text(OWN)
    wraps = ["--wrap", "FrameStackObservation:stack_size=2", "--wrap", "mine.py:Times:by=100"]
    small = ["--set", "train_batch_size=2000", "--set", "minibatch_size=1000", "--num-env-runners", "1"]
    done = shell.train("--env", "CartPole-v1", *wraps, *small, "--stop-iters", "1")
    assert done.returncode == 0, done.stderr
    [run] = shell.runs
    [row] = [json.loads(line) for line in (run / "result.json").read_text().splitlines()]
    assert row["env_runners/episode_return_mean"] == pytest.approx(100 * row["env_runners/episode_len_mean"])
    other = shell.train("--resume", run, "--wrap", "mine.py:Times", "--stop-iters", "2")
    assert other.returncode == 2
    assert "leave --wrap out to resume that run" in other.stderr
    found = json.loads(shell("evaluate", run, "--episodes", "2", "--json").stdout)
    assert found["return_mean"] == pytest.approx(100 * found["length_mean"])
    text = shell.train("--env", "CartPole-v1", "--wrap", "RenderCollection")
    assert text.returncode == 2 and "--wrap RenderCollection cannot be made" in text.stderr

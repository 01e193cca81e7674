"""Runs that version 0.1 left, without and with a memory and a filter. They are in tests/data."""

import json
import shutil
from pathlib import Path

import pytest

OLD = Path(__file__).parents[1] / "data/runs_of_0.1"


# How many observations a checkpoint's filter has seen.
SEEN = """
import pickle, sys
import ray.rllib
from rlsif.learning.old_names import know_old_names
know_old_names()
filters = pickle.load(open(sys.argv[1] + "/algorithm_state.pkl", "rb"))["worker"]["filters"]
print(*(each.running_stats.num_pushes for each in filters.values() if hasattr(each, "running_stats")))
"""


def seen(shell, checkpoint):
    done = shell("python", "-c", SEEN, checkpoint)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@pytest.mark.fault("a run of an earlier version is evaluated and resumed", promise="both work")
@pytest.mark.parametrize("kind", ["dense", "recurrent"])
def test_a_run_of_version_0_1_is_evaluated_and_resumed(shell, kind):
    run = shell.folder / kind
    shutil.copytree(OLD / kind, run)
    done = shell("evaluate", run, "--episodes", "2", "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["returns"]) == 2
    done = shell("train", "--resume", run, "--stop-iters", "3", "--local-mode")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (run / "result.json").read_text().splitlines()]
    assert [row["training_iteration"] for row in rows] == [1, 2, 3]
    updates = [row["info/learner/default_policy/num_grad_updates_lifetime"] for row in rows]
    assert updates[0] < updates[1] < updates[2]
    assert "sampled in NumPy" in done.stdout
    if kind == "recurrent":
        before, after = (seen(shell, run / f"checkpoints/checkpoint_00000{number}") for number in (2, 3))
        steps = [row["num_env_steps_sampled_lifetime"] for row in rows]
        assert after - before >= steps[2] - steps[1] > 0, "the filter learns on"

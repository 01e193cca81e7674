"""`sweep` in the image: every trial a run, the best kept, interrupted and resumed."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from rlsif.training.run_lock import held

SMALL = ("--set", "train_batch_size=200", "--set", "minibatch_size=100", "--set", "num_epochs=1")
CARTPOLE = ("--env", "CartPole-v1", *SMALL)


def sweeps(container):
    return sorted((container.folder / "results").glob("*/sweep_*"))


def sweep(container, *arguments):
    done = container("sweep", *arguments, "--results-dir", container.folder / "results")
    for log in (container.folder / "results").glob("*/*/sweep.log"):
        print(f"== {log}\n{log.read_text()[-4000:]}")
    return done


def test_a_grid_with_samples_ends_with_a_preset_that_train_takes(shell):
    """A sweep, and a training with what it found."""
    searched = ("--grid", "lr=1e-3,3e-4", "--sample", "gamma=uniform(0.9,0.999)")
    done = sweep(shell, *CARTPOLE, *searched, "--stop-iters", "6")
    assert done.returncode == 0, done.stderr
    assert len(re.findall(r"^trial +[12] of 2  return +[\d.]+  env steps +[\d,]+  lr=", done.stdout, re.M)) == 2
    [folder] = sweeps(shell)
    runs = [json.loads(p.read_text()) for p in folder.glob("PPO_*/summary.json")]
    assert [run["state"] for run in runs] == ["finished"] * 2
    params = [json.loads(p.read_text()) for p in folder.glob("PPO_*/params.json")]
    assert {p["lr"] for p in params} == {1e-3, 3e-4} and all(0.9 <= p["gamma"] <= 0.999 for p in params)
    with held(folder):
        done = shell("sweep", "--resume", folder)
    assert done.returncode == 2 and f"error: {folder} is in use by process " in done.stderr
    listed = shell("runs", folder).stdout.splitlines()
    best = max(runs, key=lambda run: run["episode_return_mean"])
    assert len(listed) == 3
    assert (folder / "best.yaml").read_text().splitlines()[0].endswith(best["run_dir"].split("/")[-1])
    done = shell.train("--env", "CartPole-v1", "--config", folder / "best.yaml", "--stop-iters", "1", "--local-mode")
    assert done.returncode == 0, done.stderr
    again = json.loads(next((shell.folder / "results").glob("*/PPO_*/params.json")).read_text())
    chosen = json.loads((folder / best["run_dir"].split("/")[-1] / "params.json").read_text())
    assert (again["lr"], again["gamma"]) == (chosen["lr"], chosen["gamma"])


@pytest.mark.fault("a sweep is interrupted", promise="it resumes; every trial has each iteration once")
@pytest.mark.long
def test_an_interrupted_sweep_resumes(container, shell):
    """Three trials of sixty iterations, for a signal must find some done and some to come."""
    arguments = (*CARTPOLE, "--grid", "lr=1e-3,3e-4,1e-4", "--stop-iters", "60")
    process = container.start("sweep", *arguments, "--results-dir", container.folder / "results")
    deadline = time.monotonic() + 300
    while not list((container.folder / "results").glob("*/sweep_*/PPO_*/result.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=240) == 130
    [folder] = sweeps(container)
    said = (container.folder / "output").read_text()
    assert f"interrupted; resume with: sweep --resume {folder}" in said
    assert not (folder / "best.yaml").exists()
    done = shell("sweep", "--resume", folder)
    assert done.returncode == 0, done.stderr
    assert (folder / "best.yaml").exists() and sweeps(container) == [folder]
    for run in folder.glob("PPO_*"):
        rows = [json.loads(line) for line in (run / "result.json").read_text().splitlines()]
        assert [row["training_iteration"] for row in rows] == list(range(1, 61))
    # A trial is the sweep's as long as that runs.
    with held(folder):
        refused = shell.train("--resume", run, "--stop-iters", "70", "--local-mode")
    assert refused.returncode == 2 and f"{folder} is in use by process {os.getpid()}" in refused.stderr


@pytest.mark.fault(
    "a trial of a sweep spoils its weights",
    promise="it fails by name and is ranked last; the best settings are those of a trial that works",
)
def test_a_trial_whose_weights_are_no_numbers_is_ranked_last(shell):
    done = sweep(shell, *CARTPOLE, "--grid", "lr=1e38,1e-3", "--stop-iters", "6")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^trial +[12] of 2  failed: .* after an update, .*  lr=1e\+38$", done.stdout, re.M), done.stdout
    [folder] = sweeps(shell)
    states = [(run, json.loads((run / "summary.json").read_text())) for run in folder.glob("PPO_*")]
    [(bad, told)] = [(run, told) for run, told in states if told["state"] != "finished"]
    assert told["state"] == "failed" and "after an update" in told["stop_reason"] and told["checkpoint"] is None
    assert "lr: 0.001" in (folder / "best.yaml").read_text()
    assert done.stdout.rstrip().splitlines()[-2].endswith(bad.name)


def ended(container, done, trials):
    """The iterations of each run of a sweep that has come to its end."""
    assert done.returncode == 0, done.stderr
    [folder] = sweeps(container)
    runs = [json.loads(p.read_text())["iterations"] for p in folder.glob("PPO_*/summary.json")]
    assert len(runs) == trials and "best settings" in done.stdout
    return sorted(runs)


# One trial after the other, the one that learns first; what a scheduler decides would else depend on who is quicker.
IN_TURN = ("--cpus-per-trial", str(len(os.sched_getaffinity(0))), "--seed", "1")
LEARNS = ("--set", "train_batch_size=1000", "--set", "num_epochs=4", "--stop-iters", "12")


@pytest.mark.long
def test_asha_ends_the_trials_that_fall_behind(shell):
    """Three trials, one after the other: see IN_TURN."""
    searched = ("--grid", "lr=3e-3,1e-7,1e-6", "--scheduler", "asha")
    done = sweep(shell, *CARTPOLE, *LEARNS, *IN_TURN, *searched)
    assert ended(shell, done, trials=3) == [5, 5, 12]


@pytest.mark.long
def test_pbt_has_the_worse_take_over_from_the_better(shell):
    """Four trials, one after the other, each with a new process after an exchange: see IN_TURN.

    With this seed one of the worse is behind the other when it is its turn; of equals Tune takes the first alone.
    """
    searched = ("--grid", "lr=3e-3,1e-7", "--num-samples", "2", "--scheduler", "pbt")
    done = sweep(shell, *CARTPOLE, *LEARNS, *IN_TURN, "--seed", "4", *searched)
    assert ended(shell, done, trials=4) == [12] * 4
    assert list(sweeps(shell)[0].glob("tune/pbt_policy_*.txt"))


def test_what_takes_over_has_the_weights_of_the_better_and_settings_of_its_own(shell):
    done = shell("python", Path(__file__).with_name("taking_over.py"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["before"] > 0.01 and found["after"] == 0 and found["trains on"] > 0.001
    assert found["settings"] == [0.02, 0.5, 0.5]
    # The better one is ahead: what lies between is its own.
    assert found["iterations"] == [1, 2, 3, 4, 5, 6]


@pytest.mark.fault(
    "an environment stands still in a trial of a sweep",
    promise="the trial ends after `--env-timeout`, and names env runner and step; the sweep continues",
)
@pytest.mark.fault(
    "an environment fails in an env runner of one of several trials",
    promise="that trial ends with the environment's exception, and keeps what it has learned; the others continue",
)
def test_a_trial_hears_of_its_own_env_runners_alone(shell):
    done = shell("python", Path(__file__).with_name("failing_trial.py"))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    first, failed, again = found["told"]["fails"]
    assert first == 1 and failed[0] == "training failed: ValueError: the reactor is out of coolant"
    # A full disk, which refuses the summary, does not hide that.
    assert again == failed
    assert found["told"]["works"] == [1, 2]
    state, reason, checkpoint = found["ended"]["fails"]
    assert (state, reason) == ("failed", f"failed: {failed[0]}") and checkpoint.endswith("checkpoint_000001")
    assert found["ended"]["works"][:2] == ["interrupted", "ended by the sweep"]
    *iterations, stands = found["told"]["stands"]
    assert iterations == [1, 2] and "env runner 1 on " in stands[0] and "has made no step for" in stands[0]
    state, reason, checkpoint = found["ended"]["stands"]
    assert (state, reason) == ("failed", f"failed: {stands[0]}") and checkpoint.endswith("checkpoint_000002")

"""Environments in processes of their own: the same run, resumed, with a curriculum, and what comes of kills."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.image.test_train import wait_for

OWN = """
import os
import time
from pathlib import Path

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

HERE = Path(__file__).parent


class Levels(gymnasium.Env):
    max_episode_steps = 10
    observation_space = Box(-9, 9, (2,), np.float32)
    action_space = Discrete(2)
    level = 0

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        if "stepping" in Path("/proc/self/cmdline").read_text():
            (HERE / "pids").mkdir(exist_ok=True)
            (HERE / f"pids/{os.getpid()}").touch()

    def set_task(self, task):
        self.level = task["level"]

    def observed(self):
        return self.np_random.normal(size=2).clip(-9, 9).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observed(), {}

    def step(self, action):
        time.sleep(self.seconds)
        if self.level == 2 and (HERE / "dies").exists():
            (HERE / "dies").unlink()
            os._exit(1)
        return self.observed(), self.np_random.random(), False, False, {"metrics": {"level": self.level}}


class Fails(Levels):
    def step(self, action):
        raise ValueError("the valve is stuck")


class Curriculum:
    def on_train_start(self, run):
        run.set_task({"level": 1})

    def on_iteration(self, run, row):
        run.set_task({"level": run.iteration + 1})
"""
SMALL = ("--set", "train_batch_size=400", "--set", "minibatch_size=200", "--set", "num_epochs=1")


@pytest.fixture
def levels(shell):
    (shell.folder / "own.py").write_text(OWN)
    return shell


def stepping(folder):
    """The processes that step environments of a folder's file, and are still there."""
    return [int(path.name) for path in (folder / "pids").glob("*") if is_there(path.name)]


def is_there(pid):
    try:
        return b"stepping" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def none_is_left(folder):
    deadline = time.monotonic() + 60
    while stepping(folder):
        assert time.monotonic() < deadline, stepping(folder)
        time.sleep(0.1)
    return True


def rows_of(run):
    return [json.loads(line) for line in (run / "result.json").read_text().splitlines()]


def of_episodes(run):
    """What the first row says of episodes; later ones may differ in the last bits of a network's sums."""
    first = rows_of(run)[0]
    return {name: value for name, value in first.items() if name.startswith(("env_runners/episode", "custom"))}


def test_a_run_is_the_same_in_processes_and_is_resumed_and_evaluated(levels):
    asked = ("--env", "own.py:Levels", *SMALL, "--seed", "3", "--num-env-runners", "0")
    assert levels.train(*asked, "--stop-iters", "1").returncode == 0
    done = levels.train(*asked, "--stop-iters", "1", "--env-processes", "2")
    assert done.returncode == 0 and done.stderr == ""
    assert "8 environments each, stepped in 2 processes of their own on 2 cores, sampled in NumPy" in done.stdout
    assert none_is_left(levels.folder)
    one, two = sorted(levels.runs, key=lambda run: "env_processes" in (run / "summary.json").read_text())
    assert of_episodes(one) == of_episodes(two) and of_episodes(one)["env_runners/episode_return_mean"]
    assert json.loads((two / "summary.json").read_text())["resources"]["env_processes"] == 2
    done = levels.train("--resume", two, "--stop-iters", "3", "--num-env-runners", "1", "--env-processes", "1")
    assert done.returncode == 0, done.stderr
    assert "1 env runner, 8 environments each, stepped in one process of its own" in done.stdout
    assert [row["training_iteration"] for row in rows_of(two)] == [1, 2, 3]
    before = stepping(levels.folder), len(list((levels.folder / "pids").iterdir()))
    assert levels("evaluate", two, "--episodes", "2").returncode == 0
    assert before == (stepping(levels.folder), len(list((levels.folder / "pids").iterdir()))) and before[0] == []


def test_a_curriculum_reaches_every_process_also_one_that_was_started_again(levels):
    (levels.folder / "dies").touch()
    asked = ("--env", "own.py:Levels", *SMALL, "--callbacks", "own.py:Curriculum", "--stop-iters", "4")
    done = levels.train(*asked, "--env-config", "seconds=0.01", "--num-env-runners", "1", "--env-processes", "1")
    assert done.returncode == 0, done.stderr
    assert not (levels.folder / "dies").exists()
    said = "the process that steps copies 0 to 7 of the environment ended with exit code 1, and was started again"
    assert f"warning: env runner 1 on {os.uname().nodename}: {said}" in done.stdout and "(1 so far)" in done.stdout
    [run] = levels.runs
    assert [row["custom/level_max"] for row in rows_of(run)] == [1, 2, 3, 4]
    assert rows_of(run)[-1]["num_healthy_workers"] == 1 and none_is_left(levels.folder)


def test_an_exception_is_told_as_without_processes(levels):
    asked = ("--env", "own.py:Fails", *SMALL, "--stop-iters", "1", "--num-env-runners", "1")
    one, two = (levels.train(*asked, *more) for more in ((), ("--env-processes", "1")))
    assert one.returncode == two.returncode == 1
    assert one.stderr == two.stderr and "training failed: ValueError: the valve is stuck" in one.stderr
    assert none_is_left(levels.folder)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_run_that_ends_leaves_no_process(container, end):
    (container.folder / "own.py").write_text(OWN)
    slow = ("--env", "own.py:Levels", "--env-config", "seconds=0.01", *SMALL, "--results-dir", "results")
    process = container.start("train", *slow, "--num-env-runners", "1", "--env-processes", "1")
    try:
        output = container.folder / "output"
        wait_for(lambda: "iter    1" in output.read_text(), process)
        [pid] = stepping(container.folder)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: "was ended by SIGKILL, and was started again" in output.read_text(), process)
        wait_for(lambda: stepping(container.folder), process)
    finally:
        os.killpg(process.pid, end)
        process.wait(timeout=120)
    assert none_is_left(container.folder)

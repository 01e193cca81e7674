"""The end by time, within an iteration that would take minutes."""

import json

SLOWER = """
import time

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Slower(gymnasium.Env):
    max_episode_steps = 10
    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)
    steps = 0

    def __init__(self, fast):
        self.fast = fast

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        time.sleep(0.001 if self.steps <= self.fast else 1)
        return np.zeros(2, np.float32), 1.0, False, False, {}
"""
SMALL = ["--num-env-runners", "1", "--num-envs-per-env-runner", "1"]
SMALL += ["--set", "train_batch_size=200", "--set", "minibatch_size=100"]


def ended(shell, fast, seconds, *more):
    (shell.folder / "mine.py").write_text(SLOWER)
    slower = ("--env", "mine.py:Slower", "--env-config", f"fast={fast}")
    done = shell.train(*slower, "--stop-time", seconds, *SMALL, *more)
    assert done.returncode == 0, done.stderr
    [run] = shell.runs
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["state"], summary["stop_reason"]) == (
        "finished",
        f"{seconds} s; the iteration under way is left out",
    )
    return run, summary, done.stdout


def test_the_time_ends_a_run_within_a_slow_iteration_and_keeps_all_before_it(shell):
    # Without a checkpoint of the iteration before, a run waits for one that takes far longer than that.
    run, summary, _ = ended(shell, 200, 10, "--checkpoint-every", "1")
    rows = [json.loads(line) for line in (run / "result.json").read_text().splitlines()]
    assert [row["num_env_steps_sampled_lifetime"] for row in rows] == [200]
    assert summary["checkpoint"].endswith("checkpoint_000001")


def test_a_first_iteration_that_does_not_end_is_told(shell):
    _, summary, said = ended(shell, 0, 2)
    assert summary["checkpoint"] is None
    assert "the first iteration did not end, so that nothing was learned" in said

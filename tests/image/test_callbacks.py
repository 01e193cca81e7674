"""Callbacks in the image: both samplers, a curriculum, an end, and an exception."""

import json

import pytest

OWN = """
import os

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Levels(gymnasium.Env):
    max_episode_steps = 10
    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)
    level = 0

    def set_task(self, task):
        self.level = task["level"]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        # One env runner dies once, and is started again.
        if self.level == 2 and os.path.exists("dies"):
            os.remove("dies")
            os._exit(1)
        return np.zeros(2, np.float32), 1.0, False, False, {"metrics": {"level": self.level}}


class Curriculum:
    def on_train_start(self, run):
        self.said = (run.folder / "said.txt").open("w", buffering=1)
        run.set_task({"level": 1})

    def on_iteration(self, run, row):
        print("iteration", run.iteration, row["custom/level_min"], file=self.said)
        run.set_task({"level": run.iteration + 1})
        if run.iteration == 3:
            run.stop("far enough")

    def on_checkpoint(self, run, folder):
        print("checkpoint", folder.name, file=self.said)

    def on_train_end(self, run, reason):
        print("end", reason, file=self.said)


class Fails:
    def on_iteration(self, run, row):
        row["nothing"]
"""
SMALL = ["--set", "train_batch_size=400", "--set", "minibatch_size=200"]


@pytest.mark.parametrize("sampler", ["NumPy", "RLlib"])
def test_a_curriculum_reaches_every_copy_and_ends_the_run(shell, sampler):
    (shell.folder / "mine.py").write_text(OWN)
    rllib = ["--set", "batch_mode=complete_episodes", "--local-mode"]
    settings = rllib if sampler == "RLlib" else ["--num-env-runners", "1"]
    if sampler == "NumPy":
        (shell.folder / "dies").touch()
    done = shell.train("--env", "mine.py:Levels", "--callbacks", "mine.py:Curriculum", *SMALL, *settings)
    assert done.returncode == 0, done.stderr
    assert f"sampled {'in NumPy' if sampler == 'NumPy' else 'by RLlib'}" in done.stdout
    [run] = shell.runs
    *said, checkpoint, end = (run / "said.txt").read_text().splitlines()
    levels = [line.split() for line in said]
    # An episode that was under way when the task changed has the new one at its end.
    assert levels == [["iteration", str(number), f"{number}.0"] for number in (1, 2, 3)]
    assert (checkpoint, end) == ("checkpoint checkpoint_000003", "end far enough")
    assert json.loads((run / "summary.json").read_text())["stop_reason"] == "far enough"
    assert not (shell.folder / "dies").exists()
    # The task that was set last goes with the checkpoint.
    evaluated = shell("evaluate", run, "--episodes", "1", "--json")
    assert json.loads(evaluated.stdout)["custom"]["level"] == 4


def test_an_exception_in_a_callback_leaves_a_checkpoint(shell):
    (shell.folder / "mine.py").write_text(OWN)
    mine = ["--env", "mine.py:Levels", "--callbacks", "mine.py:Fails", "--local-mode"]
    failed = shell.train(*mine, *SMALL)
    assert failed.returncode == 1
    [line] = failed.stderr.splitlines()
    number = OWN.splitlines().index('        row["nothing"]') + 1
    assert "on_iteration raised KeyError: 'nothing' (" in line and line.endswith(f"mine.py, line {number})")
    [run] = shell.runs
    assert (run / "checkpoints" / "checkpoint_000001").is_dir()


RLLIBS = """
from ray.rllib.callbacks.callbacks import RLlibCallback


class Halves(RLlibCallback):
    def on_episode_start(self, *, episode, worker, **given):
        episode.user_data["runner"] = worker.worker_index

    def on_episode_end(self, *, episode, **given):
        episode.custom_metrics.update(half=episode.length / 2, runner=episode.user_data["runner"])

    def on_train_result(self, *, algorithm, result, **given):
        with open("said.txt", "a") as said:
            print(result["training_iteration"], file=said)
"""


def test_rllibs_own_callbacks_are_called_where_rllib_samples(shell):
    (shell.folder / "mine.py").write_text(RLLIBS)
    own = ("--set", "callbacks=mine.py:Halves")
    few = (*SMALL, "--num-envs-per-env-runner", "4", "--num-env-runners", "1", "--stop-iters", "1")
    done = shell.train("--env", "CartPole-v1", *own, *few)
    assert done.returncode == 0, done.stderr
    assert f"sampled by RLlib, because callbacks_class is {shell.folder}/mine.py:Halves" in done.stdout
    [run] = shell.runs
    more = shell.train("--resume", run, "--stop-iters", "2", "--local-mode")
    assert more.returncode == 0, more.stderr
    rows = [json.loads(line) for line in (run / "result.json").read_text().splitlines()]
    first, second = rows
    assert first["custom/half"] == first["env_runners/episode_len_mean"] / 2
    assert first["custom/runner"] == 1 and second["custom/half"] > 0
    # Of the learner in this process; that of the first run works elsewhere.
    assert (shell.folder / "said.txt").read_text().split()[-1] == "2"
    assert shell("evaluate", run, "--episodes", "1").returncode == 0

"""Choices that do not begin at 0: an environment gets them from its space alone, wherever it is."""

import json

import pytest

SHIFTED = """
import os
from pathlib import Path
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

SEEN = Path(__file__).with_name("seen")


class Choice(gymnasium.Env):
    observation_space, action_space = Box(-1, 1, (2,)), Discrete(3, start=5)
    max_episode_steps = 8

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2, np.float32), {}

    def step(self, action):
        assert self.action_space.contains(action), f"{action} is not in {self.action_space}"
        with SEEN.open("a") as file:
            print(os.getpid(), np.asarray(action).tolist(), file=file)
        return np.zeros(2, np.float32), 1.0, False, False, {}


class Choices(Choice):
    action_space = MultiDiscrete([2, 3], start=[1, -4])


class Numbers(Choice):
    action_space = Box(5, 7, (1,), np.int16)
"""
# A core for the learner, one for an env runner, and one that plays the evaluations.
THREE_CORES = """
from rlsif.cluster import resources
resources._cpus = lambda: 3
from rlsif.commands.train import main
main()
"""
OF_CHOICE, OF_CHOICES = ["5", "6", "7"], [f"[{a}, {b}]" for a in (1, 2) for b in (-4, -3, -2)]
BY_RLLIB = ("--set", "batch_mode=complete_episodes")
# Settings, and what the first lines of a run say then.
BOTH_SAMPLERS = pytest.mark.parametrize(("settings", "sampled"), [((), "in NumPy"), (BY_RLLIB, "by RLlib")])
PPO = ("--set", "train_batch_size=100", "--set", "minibatch_size=50", "--set", "num_epochs=1")
DQN = ("--algo", "DQN", "--set", "min_time_s_per_iteration=0", "--set", "min_sample_timesteps_per_iteration=100")


@pytest.mark.fault(
    "choices of Discrete, MultiDiscrete or whole numbers of a Box do not begin at 0, whoever samples",
    promise="training, the evaluations beside it and `evaluate` send actions of the space alone",
)
@pytest.mark.parametrize(
    ("env", "choices", "settings", "sampled"),
    [
        ("Choice", OF_CHOICE, PPO, "in NumPy"),
        ("Choice", OF_CHOICE, (*PPO, *BY_RLLIB), "by RLlib"),
        ("Choice", OF_CHOICE, (*DQN, "--set", "exploration_config={type: StochasticSampling}"), "by RLlib"),
        ("Choices", OF_CHOICES, PPO, "in NumPy"),
        ("Choices", OF_CHOICES, (*PPO, *BY_RLLIB), "by RLlib"),
        ("Numbers", ["[5]", "[6]", "[7]"], (*PPO, *BY_RLLIB), "by RLlib"),
    ],
)
def test_choices_that_do_not_begin_at_0_are_of_the_space(shell, env, choices, settings, sampled):
    (shell.folder / "shifted.py").write_text(SHIFTED)
    evaluated = ("--evaluate-every", "1", "--evaluate-episodes", "1")
    asked = ("--env", f"shifted.py:{env}", *settings, *evaluated, "--num-envs-per-env-runner", "1", "--stop-iters", "3")
    done = shell("python", "-c", THREE_CORES, *asked, "--results-dir", "results")
    assert done.returncode == 0, done.stderr
    assert "3/3 CPUs" in done.stdout and f"sampled {sampled}" in done.stdout
    seen = [line.split(" ", 1) for line in (shell.folder / "seen").read_text().splitlines()]
    # Of the process that plays the evaluations, three episodes of 8 steps, and of the env runner; others only look.
    by_process = {process: [action for mine, action in seen if mine == process] for process, _ in seen}
    *_, played, trained = sorted(by_process.values(), key=len)
    assert len(played) == 24 and len(trained) >= 300
    assert set(trained) == set(choices) and set(played) <= set(choices)
    (shell.folder / "seen").unlink()
    done = shell("evaluate", *shell.runs, "--stochastic", "--episodes", "5", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["lengths"] == [8] * 5
    drawn = [line.split(" ", 1)[1] for line in (shell.folder / "seen").read_text().splitlines()]
    assert len(drawn) >= 40 and len(set(drawn)) > 1 and set(drawn) <= set(choices)

"""A user's own numbers in the image: both samplers, shown and compared."""

import csv

import pytest

COUNTING = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Counting(gymnasium.Env):
    max_episode_steps = 10
    observation_space = Box(-1, 1, (2,), np.float32)
    action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.steps, self.episodes = 0, getattr(self, "episodes", 0) + 1
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        late = self.steps == 10 and self.episodes > 5
        return np.zeros(2, np.float32), 1.0, False, False, {"metrics": {"energy": 3}} if late else {}
"""


@pytest.mark.parametrize("sampler", ["NumPy", "RLlib"])
def test_numbers_of_ones_own_are_columns(shell, sampler):
    (shell.folder / "counting.py").write_text(COUNTING)
    small = ["--set", "train_batch_size=200", "--set", "minibatch_size=100", "--local-mode"]
    settings = ["--set", "batch_mode=complete_episodes"] if sampler == "RLlib" else []
    show = ["--show", "custom/energy"]
    done = shell.train("--env", "counting.py:Counting", "--stop-iters", "4", *small, *settings, *show)
    assert done.returncode == 0, done.stderr
    assert f"sampled {'in NumPy' if sampler == 'NumPy' else 'by RLlib'}" in done.stdout
    assert "custom/energy -" in done.stdout and "custom/energy 3\n" in done.stdout
    [run] = shell.runs
    with (run / "progress.csv").open() as file:
        shown = [row["custom/energy_max"] for row in csv.DictReader(file)]
    assert shown[0] == "" and shown[-1] == "3.0" and len(shown) == 4
    if sampler == "NumPy":
        assert "custom/energy" not in shell("compare", run, "--column", "custom/energy").stderr

"""Images of any size and order train with no option but `--env`, and `check` acts with the network that they get."""

import csv
import json
import math

import pytest

ENVS = """
import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Stacked(gymnasium.Env):
    observation_space, action_space, max_episode_steps = Box(0, 255, (4, 20, 26), np.uint8), Discrete(2), 20

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self._seen(), {}

    def step(self, action):
        return self._seen(), float(action), False, False, {}

    def _seen(self):
        return self.np_random.integers(0, 255, self.observation_space.shape, np.uint8, endpoint=True)


class Grid(Stacked):
    observation_space = Box(0, 255, (7, 7, 3), np.uint8)


class Bits(Stacked):
    observation_space = Box(0, 1, (9, 9, 2), np.bool_)

    def _seen(self):
        return self.np_random.random((9, 9, 2)) < 0.5


class Mission(gymnasium.Space):
    def sample(self, mask=None, probability=None):
        return "get the key"

    def contains(self, x):
        return isinstance(x, str)


class Told(Stacked):
    # As MiniGrid's environments: a grid, a direction and a text of a space of the package's own.
    observation_space = gymnasium.spaces.Dict(
        {"direction": Discrete(4), "image": Box(0, 255, (7, 7, 3), np.uint8), "mission": Mission()}
    )

    def _seen(self):
        image = self.np_random.integers(0, 255, (7, 7, 3), np.uint8, endpoint=True)
        return {"image": image, "direction": 3, "mission": "get the key"}


class Answered(Stacked):
    observation_space = gymnasium.spaces.Dict({"text": gymnasium.spaces.Text(20), "numbers": Box(-1, 1, (2,))})

    def _seen(self):
        return {"text": "not much", "numbers": self.np_random.uniform(-1, 1, 2).astype(np.float32)}


class Screen(Stacked):
    observation_space = Box(0, 255, (210, 160, 3), np.uint8)
"""
SMALL = ("--local-mode", "--stop-iters", "1", "--set", "train_batch_size=64", "--num-envs-per-env-runner", "2")


@pytest.fixture
def envs(shell):
    (shell.folder / "envs.py").write_text(ENVS)
    return shell


def test_check_acts_with_the_network_that_train_would_have(envs):
    done = envs("check", "envs.py:Stacked")
    assert done.returncode == 0
    assert (
        "ok       images have 20 x 26 pixels of 4 channels, which come first and are moved behind; the network that"
        " `train` would have acts in it, with conv_filters=[[16,[4,4],2],[32,[4,4],2],[256,[5,7],1]].\n"
    ) in done.stdout


def test_an_image_that_rllib_takes_for_ataris_screen_trains_and_is_evaluated(envs):
    done = envs.train("--env", "envs.py:Screen", *SMALL, "--set", "minibatch_size=32", "--set", "num_epochs=1")
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy" in done.stdout
    [run] = envs.runs
    # With pixels from 0 to 255 it would prefer one of both actions for no reason.
    with (run / "progress.csv").open() as file:
        [row] = csv.DictReader(file)
    assert float(row["info/learner/default_policy/learner_stats/entropy"]) > 0.9 * math.log(2)
    found = envs("evaluate", run, "--episodes", "1", "--json")
    assert found.returncode == 0 and json.loads(found.stdout)["length_mean"] == 20


@pytest.mark.parametrize("name", ["Grid", "Bits"])
def test_a_grid_trains_with_dqn(envs, name):
    least = ("--set", "min_sample_timesteps_per_iteration=100", "--set", "num_steps_sampled_before_learning_starts=50")
    done = envs.train("--env", f"envs.py:{name}", "--algo", "DQN", *SMALL, *least)
    assert done.returncode == 0, done.stderr
    assert "sampled in NumPy" in done.stdout


@pytest.mark.parametrize(
    ("name", "text", "settings"),
    [("Told", "mission", ()), ("Answered", "text", ("--set", "batch_mode=complete_episodes"))],
)
def test_a_text_among_other_parts_is_left_out_and_told(envs, name, text, settings):
    left_out = f"observations['{text}'] is a text, which no network here reads: left out"
    short = ("--set", "minibatch_size=32", "--set", "num_epochs=1")
    done = envs.train("--env", f"envs.py:{name}", *SMALL, *short, *settings)
    assert done.returncode == 0 and left_out in done.stdout, done.stderr
    assert ("sampled by RLlib" in done.stdout) == bool(settings)
    [run] = envs.runs
    assert envs("train", "--resume", run, "--stop-iters", "2").returncode == 0
    found = envs("evaluate", run, "--episodes", "1", "--json")
    assert found.returncode == 0 and json.loads(found.stdout)["length_mean"] == 20
    assert f"ok       {left_out}.\n" in envs("check", f"envs.py:{name}").stdout

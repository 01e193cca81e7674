"""`check`: each fault of an environment is found, and told in a sentence."""

import textwrap
from pathlib import Path

import pytest

from rlsif.envs import checker
from rlsif.envs.checker import ERROR, OK, WARNING
from rlsif.envs.checker import check as check_env
from rlsif.envs.reference import parse
from rlsif.learning.judgement import judgement

ENV = """
import time

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete


class Walk(gymnasium.Env):
    max_episode_steps = 50

    def __init__(self):
        self.observation_space = Box(-100, 100, (2,), np.float32)
        self.action_space = Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.at.copy(), {}

    def step(self, action):
        self.at += np.float32(action - 0.5)
        seen = self.at.copy()
        return seen, float(self.at[0]), False, False, {}
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """How long the speed is measured decides nothing here."""
    monkeypatch.setattr(checker, "MEASURED", 0.05)


def findings(tmp_path, before="", after=""):
    assert before in ENV
    path = tmp_path / "walk.py"
    path.write_text(textwrap.dedent(ENV.replace(before, after, 1)))
    return check_env(parse(f"{path}:Walk"), judgement)


def test_a_good_one_has_no_fault(tmp_path):
    found = findings(tmp_path)
    assert {f.level for f in found} == {OK}
    told = " ".join(f.text for f in found)
    for part in (
        "Gymnasium's checker finds nothing",
        "actions are Discrete(2); PPO, APPO, DQN, IMPALA, SAC can choose them",
        "observations are Box[2] of float32; sampled in NumPy",
        "the seed decides what happens",
        "it can be pickled",
        "steps a second on one core",
    ):
        assert part in told


SEEN = "seen = self.at.copy()"


@pytest.mark.parametrize(
    ("before", "after", "level", "said"),
    [
        (SEEN, "seen = self.at * np.nan", ERROR, "the observation at step 1 after reset(seed=1) has nan at [0]"),
        (SEEN, "seen = self.at.astype(np.float64)", WARNING, "a ndarray of float64, and the observation space"),
        (SEEN, "seen = np.append(self.at, self.at)", ERROR, "its shape is [4], the space's is [2]"),
        (SEEN, "seen = self.at + 200", ERROR, "is not from -100 to 100"),
        (SEEN, "seen = self.at", ERROR, "every step returns the same array"),
        ("float(self.at[0])", "float('inf')", ERROR, "the reward at step 1 after reset(seed=1) is inf"),
        ("float(self.at[0])", "1e39", ERROR, "the reward at step 1 after reset(seed=1) is 1e+39; one of them spoils"),
        (SEEN, "seen = self.at.astype(np.float64) - 1e39", ERROR, "the observation at step 1 after reset(seed=1) has"),
        ("float(self.at[0])", "self.at", ERROR, "is a ndarray; it must be one number"),
        ("self.np_random.uniform", "np.random.default_rng().uniform", ERROR, "does not decide what happens"),
        ("False, False, {}", "False, 0.5, {}", ERROR, "truncated is 0.5 at step 1"),
        ("    max_episode_steps = 50\n", "", WARNING, "there is no time limit; set max_episode_steps"),
        ("float(self.at[0])", "0.0", WARNING, "the reward was 0 in all of 2,000 random steps"),
        (SEEN, f"{SEEN}; time.sleep(0.002)", WARNING, "steps a second on one core; more env runners"),
        ("Discrete(2)", "Discrete(2); import threading; self.held = threading.Lock()", WARNING, "it cannot be pickled"),
        ("Discrete(2)", "gymnasium.spaces.Text(3)", ERROR, "no algorithm here can act in it"),
        (SEEN, f"{SEEN}; {{}}['lost']", ERROR, "it raised KeyError: 'lost'"),
    ],
)
def test_every_fault_is_found(tmp_path, before, after, level, said):
    told = [f for f in findings(tmp_path, before, after) if said in f.text]
    assert [f.level for f in told] == [level]


def test_numbers_of_another_kind_are_told_once_and_are_no_error(tmp_path, recwarn):
    found = findings(tmp_path, SEEN, "seen = self.at.tolist()")
    assert [f.text for f in found if f.level != OK] == [
        "step gives a list of float64, and the observation space is float32: it is converted;"
        " return np.array(..., np.float32)."
    ]
    assert not [warning for warning in recwarn if "Casting" in str(warning.message)]


def test_an_agent_that_does_wrong_is_told_of_once():
    """Several looks meet it, each in another step."""
    crowd = Path(__file__).parents[1] / "data/crowd.py"
    [fault] = [f for f in check_env(parse(f"{crowd}:Crowd", {"wrong": "late"}), judgement) if f.level != OK]
    assert fault.level == ERROR and fault.text.startswith("agent 'cleo' has ended, and is to act after step")

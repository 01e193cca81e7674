"""A user's own numbers, from an environment's info to columns."""

import csv
import math

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlsif.envs.episodes import play
from rlsif.envs.spaces import plain
from rlsif.envs.vector import OneByOne, Vectorised, WrongValue
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import ObservationEncoder
from rlsif.training.results import PROGRESS, Row, RunFiles

OBSERVATIONS, ACTIONS = Box(0, 9, (1,), np.float32), Discrete(2)


class Telling(gymnasium.Env):
    """Episodes of three steps; the second tells `early`, the last the number of the episode as `episode`."""

    observation_space, action_space = OBSERVATIONS, ACTIONS

    def __init__(self, last=None):
        self.episode, self.last = 0, last

    def reset(self, *, seed=None, options=None):
        self.steps, self.episode = 0, self.episode + 1
        return np.zeros(1, np.float32), {"metrics": {"episode": -1.0}}

    def step(self, action):
        self.steps += 1
        given = {2: {"early": np.float32(7), "none": None}, 3: self.last or {"episode": self.episode}}
        info = {"metrics": given[self.steps]} if self.steps in given else {}
        return np.zeros(1, np.float32), 1.0, self.steps == 3, False, info


def copies(kind, *, last=None):
    parts = ObservationEncoder(plain(OBSERVATIONS)), ActionAdapter(plain(ACTIONS), True, False)
    if kind is OneByOne:
        return OneByOne([Telling(last), Telling(last)], [0, 1], *parts)
    both = SyncVectorEnv([lambda: Telling(last)] * 2, autoreset_mode=AutoresetMode.NEXT_STEP)
    return Vectorised(both, [0, 1], *parts)


@pytest.mark.parametrize("kind", [OneByOne, Vectorised])
def test_an_episode_has_the_last_value_of_each_name(kind):
    envs = copies(kind)
    steps = [envs.step(np.zeros(2, np.int64)) for _ in range(7)]
    ended = [step.metrics for step in steps if step.metrics]
    assert ended == [{i: {"early": 7.0, "episode": float(number)} for i in (0, 1)} for number in (1, 2)]


@pytest.mark.parametrize("kind", [OneByOne, Vectorised])
@pytest.mark.parametrize(
    ("last", "said"),
    [
        ({"energy": "high"}, """info["metrics"]['energy'] is 'high', which is no number"""),
        ({"energy": [1.0, 2.0]}, "which is no number"),
        ({3: 1.0}, "names must be texts"),
    ],
)
def test_what_is_no_number_is_told_in_a_sentence(kind, last, said):
    envs = copies(kind, last=last)
    with pytest.raises(WrongValue) as told:
        for _ in range(3):
            envs.step(np.zeros(2, np.int64))
    assert said in str(told.value) and "\n" not in str(told.value)


def test_what_is_no_dictionary_is_told():
    with pytest.raises(WrongValue, match="is 'good'; it must be a dictionary of names and numbers"):
        envs = copies(OneByOne, last="good")
        for _ in range(3):
            envs.step(np.zeros(2, np.int64))


def iteration(steps, *metrics):
    same = {"returns": [1.0] * len(metrics), "lengths": [1] * len(metrics), "metrics": metrics}
    return {**same, "num_env_steps_sampled_lifetime": steps, "num_healthy_workers": 1, "statistics": {}}


def test_columns_have_mean_min_and_max_and_may_come_late(tmp_path):
    files, rows = RunFiles(tmp_path), Row(None)
    files.write_row(rows.add(iteration(1, {}), 1.0))
    files.write_row(rows.add(iteration(2, {"energy": 1.0}, {"energy": 4.0}, {}), 1.0))
    files.write_row(rows.add(iteration(3), 1.0))
    with (tmp_path / PROGRESS).open() as file:
        table = list(csv.DictReader(file))
    assert [row["training_iteration"] for row in table] == ["1", "2", "3"]
    assert [row["custom/energy"] for row in table] == ["", "2.5", ""]
    assert [row["custom/energy_min"] for row in table] == ["", "1.0", ""]
    assert [row["custom/energy_max"] for row in table] == ["", "4.0", ""]


def test_a_name_of_the_users_own_is_not_overwritten():
    row = Row(None).add(iteration(1, {"a": 2.0, "a_min": 5.0}), 1.0)
    assert (row["custom/a"], row["custom/a_min"], row["custom/a_max"]) == (2.0, 5.0, 2.0)
    assert not any(isinstance(v, float) and math.isnan(v) for v in row.values())


def test_a_resumed_run_may_have_new_columns_and_lack_old_ones(tmp_path):
    files, rows = RunFiles(tmp_path), Row(None)
    for number, given in enumerate([{"old": 1.0}, {"old": 2.0}, {"lost": 3.0}], 1):
        files.write_row(rows.add(iteration(number, given), 1.0))
    files = RunFiles(tmp_path, resumed_at=2)
    files.write_row({**rows.add(iteration(4, {"new": 4.0}), 1.0), "training_iteration": 3})
    with (tmp_path / PROGRESS).open() as file:
        table = list(csv.DictReader(file))
    assert [(row["custom/old"], row["custom/new"]) for row in table] == [("1.0", ""), ("2.0", ""), ("", "4.0")]
    assert "custom/lost" not in table[0]


class Still:
    """An agent that always does the same."""

    def act(self, observations, environments, deterministic):
        return [0] * len(observations)

    def rewarded(self, slot, reward):
        pass

    def forget(self, environment):
        pass


def test_episodes_of_an_evaluation_have_their_numbers():
    played = play(Still(), [Telling()], 2, 0, True)
    assert [episode.metrics for episode in played] == [{"early": 7.0, "episode": 1.0}, {"early": 7.0, "episode": 2.0}]

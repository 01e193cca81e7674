"""Episodes of an agent: how long one may be that never ends."""

import gymnasium
import pytest

from rlsif.envs.episodes import LEAST_OF_MOST_STEPS, MOST_STEPS, most_steps, play
from rlsif.errors import RlsifError


class Counts(gymnasium.Env):
    """Ends after `length` steps, if it has one."""

    observation_space = action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, length=None):
        self.length = length

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return 0, {}

    def step(self, action):
        self.steps += 1
        return 0, 1.0, self.steps == self.length, False, {}


class Still:
    def act(self, seen, environments, deterministic):
        return [0] * len(seen)

    def forget(self, environment):
        pass


def played(length, most):
    return [e.length for e in play(Still(), [Counts(length)], 2, 0, True, most_steps=most)]


def test_an_episode_that_does_not_end_is_cut_while_a_run_trains():
    episodes = play(Still(), [Counts()], 2, 0, True, most_steps=500, cut=True)
    assert [(episode.length, episode.total_reward) for episode in episodes] == [(500, 500.0)] * 2


@pytest.mark.fault(
    "an episode of `evaluate` never ends",
    promise="it is told after a hundred times the longest episode of the training",
)
def test_an_episode_that_does_not_end_is_told():
    with pytest.raises(RlsifError, match="episode of seed 0 has not ended after 500 steps; give the env"):
        played(None, 500)


def test_an_episode_that_ends_with_the_last_step_is_one():
    assert played(500, 500) == [500, 500]


def test_what_ended_in_training_decides_how_long_one_may_be():
    assert most_steps([20, 300, 40]) == 30_000
    assert most_steps([]) == most_steps([9]) == LEAST_OF_MOST_STEPS
    assert most_steps([5000]) == MOST_STEPS

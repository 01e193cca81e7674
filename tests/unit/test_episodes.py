"""Episodes of an agent: how long one may be that never ends, and what is told of those that go wrong."""

import math
import re
from pathlib import Path

import gymnasium
import pytest

from rlsif.commands.rollout_demo import rollout_demo
from rlsif.envs.episodes import LEAST_OF_MOST_STEPS, MOST_STEPS, most_steps, play
from rlsif.errors import RlsifError
from rlsif.evaluation.waiting import Waiting, bound_of

DATA = Path(__file__).parents[1] / "data"


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

    def rewarded(self, slot, reward):
        pass

    def forget(self, environment):
        pass


def played(length, most):
    return [e.length for e in play(Still(), [Counts(length)], 2, 0, True, most_steps=most)]


def test_an_episode_that_does_not_end_is_cut_while_a_run_trains():
    episodes = play(Still(), [Counts()], 2, 0, True, most_steps=500, cut=True)
    assert [(episode.length, episode.total_reward) for episode in episodes] == [(500, 500.0)] * 2


class Fails(Counts):
    """Raises, or gives a reward that is none."""

    def __init__(self, in_reset=None, reward=1.0):
        super().__init__(5)
        self.in_reset, self.reward = in_reset, reward

    def reset(self, *, seed=None, options=None):
        if self.in_reset:
            raise self.in_reset
        return super().reset()

    def step(self, action):
        observation, _, *rest = super().step(action)
        return observation, self.reward if self.steps == 3 else 1.0, *rest


@pytest.mark.fault(
    "an environment raises an exception in its reset, or gives nan, infinity or no reward, under `evaluate`",
    promise="one sentence names the episode, the step and what went wrong",
)
@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"in_reset": ValueError("no\nlicence")}, "in the reset of the episode of seed 7: ValueError: no licence"),
        ({"in_reset": SystemExit(3)}, "the environment failed in the reset of the episode of seed 7: SystemExit: 3"),
        ({"in_reset": RlsifError("the process ended")}, "the process ended"),
        ({"reward": math.nan}, "gave nan as reward in step 3 of the episode of seed 7; it must be a finite number"),
        ({"reward": -math.inf}, "gave -inf as reward in step 3 of the episode of seed 7"),
        ({"reward": None}, "gave None as reward in step 3 of the episode of seed 7"),
        ({"reward": "1.0"}, "gave '1.0' as reward in step 3 of the episode of seed 7"),
    ],
)
def test_what_an_environment_does_wrong_is_told_in_a_sentence(how, said):
    with pytest.raises(RlsifError) as told:
        play(Still(), [Fails(**how)], 2, 7, True)
    assert said in str(told.value) and "\n" not in str(told.value)


def test_the_demo_tells_it_too(tmp_path, capsys):
    file = tmp_path / "fails_in_its_reset.py"
    file.write_text(
        "import gymnasium\n\n\nclass Fails(gymnasium.Env):\n"
        "    observation_space = action_space = gymnasium.spaces.Discrete(2)\n\n"
        "    def reset(self, *, seed=None, options=None):\n        raise ValueError('no licence')\n"
    )
    with pytest.raises(RlsifError, match="the environment failed in its first reset: ValueError: no licence"):
        rollout_demo(f"{file}:Fails")


def test_the_demo_tells_what_agents_get_in_the_turns_of_others_and_how_their_environment_fails(capsys):
    rollout_demo(f"{DATA}/heap.py:Heap", steps=12, seed=1)
    told = capsys.readouterr().out
    steps, _, ends = told.partition("episode ended with returns ")
    paid = re.findall(r"^step +\d+  (white|black) .*  reward (\S+)", steps, re.M)
    sums = {name: sum(float(reward) for who, reward in paid if who == name) for name in ("white", "black")}
    assert ends.startswith(f"white {sums['white']:g}, black {sums['black']:g}\n") and min(sums.values()) < 0
    assert "action none" in steps and "reward -1  terminated" in steps
    with pytest.raises(RlsifError, match="'much' as reward in step 3 to agent 'anna'; it must be a finite number"):
        rollout_demo(f"{DATA}/crowd.py:Crowd", ["wrong=reward"], seed=1)
    with pytest.raises(RlsifError, match="the environment failed in step 3: KeyError: 'lost'"):
        rollout_demo(f"{DATA}/crowd.py:Crowd", ["wrong=raises"], seed=1)


@pytest.mark.fault(
    "an episode of `evaluate` never ends",
    promise="it is told after a hundred times the longest episode of the training",
)
def test_an_episode_that_does_not_end_is_told():
    with pytest.raises(RlsifError, match="episode of seed 0 has not ended after 500 steps; give the env"):
        played(None, 500)


@pytest.mark.fault(
    "an environment is so slow, or endless, that no episode of `evaluate` ends for a minute",
    promise="a line a minute says how far the episodes are, and when one that does not end is given up",
)
def test_it_is_told_while_no_episode_ends():
    now, told = [0.0], []
    waiting = Waiting(bound_of(None, 500), told.append, lambda: now[0])

    def watch(episode):
        now[0] += 0.5
        waiting(episode)

    with pytest.raises(RlsifError, match="has not ended after 500 steps"):
        play(Still(), [Counts()], 1, 7, True, watch, most_steps=500)
    assert len(told) == 4
    assert told[0] == (
        "no episode has ended for 60 s: that of seed 7 has 119 steps; after 500 it is given up, for the environment has"
        " no max_episode_steps, and Ctrl-C ends this"
    )
    assert told[1].startswith("no episode has ended for 120 s: that of seed 7 has 239 steps")
    told.clear()
    # Half a minute each.
    play(Still(), [Counts(59)], 4, 0, True, watch)
    assert told == [] and bound_of(200, 100_000) == "its time limit is 200"


def test_an_episode_that_ends_with_the_last_step_is_one():
    assert played(500, 500) == [500, 500]


def test_what_ended_in_training_decides_how_long_one_may_be():
    assert most_steps([20, 300, 40]) == 30_000
    assert most_steps([]) == most_steps([9]) == LEAST_OF_MOST_STEPS
    assert most_steps([5000]) == MOST_STEPS

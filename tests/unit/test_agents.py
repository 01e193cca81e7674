"""Environments of many agents: found by every name, stepped in slots, and what is said of those that are wrong."""

from pathlib import Path

import numpy as np
import pytest

from rlsif.envs.episodes import Team, play
from rlsif.envs.find import find, make
from rlsif.envs.reference import parse
from rlsif.envs.slots import shared
from rlsif.envs.vector import WrongValue
from rlsif.errors import InputError
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import ObservationEncoder

DATA = Path(__file__).parents[1] / "data"
CROWD, HEAP = f"{DATA}/crowd.py:Crowd", f"{DATA}/heap.py:Heap"


def slots_of(number=2, env=CROWD, **arguments):
    ref = parse(env, arguments)
    found = find(ref)
    encoder, adapter = ObservationEncoder(found.observations), ActionAdapter(found.actions)
    return shared([make(ref) for _ in range(number)], list(range(number)), encoder, adapter)


BARE = """
from gymnasium.spaces import Discrete


class Bare:
    possible_agents = ["a", "b"]

    def observation_space(self, agent):
        return Discrete(2)

    action_space = observation_space

    def reset(self, seed=None, options=None):
        self.agents = ["a", "b"]
        return {"a": 0, "b": 0}, {"a": {}, "b": {}}

    def step(self, actions):
        self.agents = []
        over = {"a": True, "b": True}
        return {"a": 0, "b": 0}, {"a": 1.0, "b": 1.0}, over, {"a": False, "b": False}, {"a": {}, "b": {}}
"""


def test_agents_share_the_spaces_that_are_found():
    found = find(parse(CROWD))
    assert found.agents == ("anna", "ben", "cleo")
    assert found.described == "3 agents, each with observations Box[2] of float32 and actions Discrete(3)"
    assert find(parse(CROWD, {"masks": True})).mask is not None


def test_what_has_no_more_than_agents_spaces_reset_and_step_is_enough(tmp_path):
    (tmp_path / "bare.py").write_text(BARE)
    ref = parse(f"{tmp_path}/bare.py:Bare", {}, tmp_path)
    assert find(ref).agents == ("a", "b")
    env = make(ref)
    env.reset(seed=0)
    assert env.step({"a": 0, "b": 1}).over
    env.close()


def test_an_agent_is_active_from_its_first_observation_to_its_end():
    slots = slots_of(1)
    assert slots.active.tolist() == [True, False, True]
    seen = []
    for _ in range(40):
        before = slots.active
        step = slots.step(np.full(3, 2))
        seen.append((before, step, slots.active))
        # Nobody who was not there ends, and whoever ends acts again only in the next episode.
        assert not (step.terminated & ~before).any()
        ended = before & (step.terminated | step.truncated)
        assert (slots.active == (before & ~ended)).all() or step.over[0] or len(seen) == 1 or seen[-2][1].over[0]
        assert (step.there[before]).all()
    assert seen[0][2].tolist()[1]
    over = [step for _, step, _ in seen if step.over[0]]
    assert over and all(list(step.metrics) == [0] and "place" in step.metrics[0] for step in over)
    # A new episode begins with the observation that is acted on, not with that of the end.
    assert (slots.observations is not over[0].observations) and slots.observations.shape == (3, 2)


def test_all_are_cut_off_with_the_observation_that_bootstraps():
    slots = slots_of(1, length=3)
    steps = [slots.step(np.ones(3, np.int64)) for _ in range(3)]
    assert steps[-1].over.tolist() == [True]
    cut = steps[-1].truncated & ~steps[-1].terminated
    assert cut.any() and (steps[-1].observations[cut, 1] == 3).all() and (slots.observations[0, 1] == 0)


def test_a_limit_from_outside_cuts_all_off():
    slots = slots_of(1, length=500, max_episode_steps=2)
    assert not slots.step(np.zeros(3, np.int64)).over[0]
    last = slots.step(np.zeros(3, np.int64))
    assert last.over[0] and last.truncated.all() and not last.terminated.any()


@pytest.mark.parametrize("limit", [2, 3])
def test_it_cuts_off_whoever_moved_last_in_turns_with_what_it_sees_then(limit):
    slots = slots_of(1, HEAP, most=100, max_episode_steps=limit)
    steps = [slots.step(np.zeros(2, np.int64)) for _ in range(limit)]
    assert [step.over[0] for step in steps] == [False] * (limit - 1) + [True]
    assert steps[-1].truncated.all() and not steps[-1].terminated.any()
    # The number of moves so far.
    assert steps[-1].there.all() and (steps[-1].observations[:, 1] == limit).all()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("spaces", "'anna' has observations Box[2] of float32 and actions Discrete(3), 'cleo' has observations Box[3]"),
        ("no space", "its agent 'ben' has no observation_space; observation_space('ben') gave None"),
        ("twice", "its possible_agents have 'ben' twice; each agent needs a name of its own"),
        ("one text", "its possible_agents have 1 and '1', which are one text; each agent needs a name of its own"),
        ("waits", "agent 'anna' is to act and has no observation after step 1"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(wrong, said):
    with pytest.raises(InputError, match="^environment .*crowd.py:Crowd' ?") as told:
        find(parse(CROWD, {"wrong": wrong}))
    assert said in str(told.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("reward", "the reward of agent 'anna' is 'much', which is no number"),
        ("nothing", "its step returned a NoneType; PettingZoo's parallel step returns observations, rewards,"),
        ("back", "; one that has ended stays away until the next reset"),
        ("flag", "terminated of agent 'cleo' is 'no', which is neither true nor false"),
        ("late", "agent 'cleo' has ended, and is to act after step 2; one that has ended stays away until the next"),
        ("stays", "agent 'black' has ended, and is in agents still after its step by no action; that step must remove"),
    ],
)
def test_what_goes_wrong_later_is_told_with_its_copy(wrong, said):
    slots = slots_of(1, HEAP if wrong == "stays" else CROWD, wrong=wrong)
    with pytest.raises(WrongValue, match="^copy 0 of the environment, after") as told:
        for _ in range(100):
            slots.step(np.full(3, 2) if wrong != "stays" else np.zeros(2, np.int64))
    assert said in str(told.value)


class Still:
    def __init__(self):
        self.slots = set()

    def act(self, seen, slots, deterministic):
        self.slots.update(slots)
        return [1] * len(seen)

    def rewarded(self, slot, reward):
        pass

    def forget(self, slot):
        pass


class Goes(Still):
    def __init__(self, action):
        super().__init__()
        self.action = action

    def act(self, seen, slots, deterministic):
        return [self.action] * len(seen)


def test_an_agent_is_played_by_its_policy_whatever_order_the_process_of_its_environment_has():
    found, environments = find(parse(CROWD)), [make(parse(CROWD)) for _ in range(2)]
    team = Team({"anna": Goes(2), "ben": Goes(1), "cleo": Goes(0)}, found)
    expected = [episode.agents for episode in play(team, environments, 5, 7, True, agents=found.agents)]
    environments[1].agents = ("cleo", "ben", "anna")
    assert [episode.agents for episode in play(team, environments, 5, 7, True, agents=found.agents)] == expected
    assert any(each["anna"] > 2 > each["cleo"] for each in expected)
    # A set has no order.
    assert find(parse(CROWD, {"wrong": "a set"})).agents == ("anna", "ben", "cleo")


def test_episodes_have_a_return_for_each_agent():
    agent = Still()
    played = play(agent, [make(parse(CROWD)) for _ in range(2)], 5, 7, True)
    assert [episode.seed for episode in played] == [7, 8, 9, 10, 11] and agent.slots == set(range(6))
    for episode in played:
        assert set(episode.agents) == {"anna", "ben", "cleo"} and "place" in episode.metrics
        assert episode.total_reward == pytest.approx(sum(episode.agents.values()))

"""Opponents: whose rows are learned from, what they have of the opponent's turns, and who plays in which episode."""

from pathlib import Path

import numpy as np
import pytest

from rlsif.envs.find import find, make
from rlsif.envs.reference import parse
from rlsif.envs.slots import Copies, Part
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.spaces import Box, Composite, Discrete, MultiDiscrete
from rlsif.sampling.filters import Statistics
from rlsif.sampling.opponents import MOST_KEPT, Chance, Learned, Opponent, Opponents, Pool, Trained, won
from rlsif.sampling.samplers import DQNSampler, PPOSampler, VTraceSampler
from rlsif.sampling.tally import Episode
from tests.unit.test_masks import CONFIG, weights

DATA = Path(__file__).parents[1] / "data"
HEAP = parse(f"{DATA}/heap.py:Heap")
GAMMA, LAMBDA = CONFIG["gamma"], CONFIG["lambda"]


class Diary:
    """An environment that notes, episode by episode, what each agent saw in its turns and got until its next."""

    def __init__(self, env):
        self._env, self.names, self.agents, self.episodes = env, env.names, env.agents, []

    def reset(self, **how):
        self.outcome = self._env.reset(**how)
        self.episodes.append({"over": False, **{name: [] for name in self.names}})
        return self.outcome

    def step(self, actions):
        for agent in actions:
            self.episodes[-1][str(agent)].append([self.outcome.seen[agent][0], 0.0])
        self.outcome = self._env.step(actions)
        for agent, reward in self.outcome.rewards.items():
            self.episodes[-1][str(agent)][-1][1] += reward
        self.episodes[-1]["over"] = self.outcome.over
        return self.outcome

    def close(self):
        self._env.close()


def opposed(pool=None, copies=3):
    """Copies of the game in turns, of whose players an opponent is one, and what each of them was told."""
    found = find(HEAP)
    encoder, adapter = masks.encoder_of(found.observations), ActionAdapter(found.actions)
    opponents = Opponents(pool, policy_space(found.actions), found.mask.size, encoder, np.random.default_rng(3))
    diaries = [Diary(make(HEAP)) for _ in range(copies)]
    parts = [Part(("of the run",), encoder, adapter), Part(("of the opponent",), encoder, adapter, opponents)]
    return Copies(diaries, range(copies), parts, rotates=True), opponents, diaries


def sampler_on(slots, kind, fragment):
    mine = kind(slots, lambda seen: seen, CONFIG, Discrete(3, 0), fragment, np.random.default_rng(0), 3)
    mine.set_weights(weights(2, 3, 1))
    return mine


def episodes_of(diaries, names=("white", "black")):
    """The rows of the run's agent in each episode, and whether it has ended; its place changes with each."""
    for copy, diary in enumerate(diaries):
        for number, episode in enumerate(diary.episodes):
            yield episode[names[(copy + number) % 2]], episode["over"]


def place(observation):
    return observation["observation"].tolist()


@pytest.mark.parametrize("kind", [PPOSampler, DQNSampler, VTraceSampler])
def test_rows_are_those_of_the_runs_agent_alone_with_what_the_opponents_turns_brought(kind):
    copies, _, diaries = opposed()
    mine = sampler_on(copies.slots[0], kind, 25)
    batches = [mine.sample() for _ in range(6)]
    got = [(seen[:2].tolist(), reward) for batch in batches for seen, reward in zip(batch["obs"], batch["rewards"])]
    left = [(place(seen), reward) for rows, _ in episodes_of(diaries) for seen, reward in rows]
    # What is not given yet waits for its outcome, or for the rest of its stretch.
    assert 0 <= len(left) - len(got) <= 3 * (26 if kind is VTraceSampler else 1)
    for seen, reward in got:
        # One of those that were told, as often as it was.
        left.remove(next(told for told in left if told[0] == seen and abs(told[1] - reward) < 1e-4))


def test_advantages_end_with_the_opponents_last_move():
    copies, opponents, diaries = opposed()
    mine = sampler_on(copies.slots[0], PPOSampler, 150)
    batch = mine.sample()
    expected, lost = [], 0
    for rows, over in episodes_of(diaries):
        if not over or not rows:
            continue
        seen = np.array([[*place(seen), *seen["action_mask"]] for seen, _ in rows], np.float32)
        values, following, running = mine._policy.values(seen), 0.0, 0.0
        for at in reversed(range(len(rows))):
            running = rows[at][1] + GAMMA * following - values[at] + GAMMA * LAMBDA * running
            following = values[at]
            expected.append(running)
        lost += rows[-1][1] < -0.5
    assert lost > 10
    # What is taken off the environments' time.
    assert 0 < opponents.seconds < mine.env_seconds
    given = np.sort(batch["advantages"])
    for advantage in expected:
        assert np.abs(given - advantage).min() < 1e-4
    # The opponent's own episodes are told beside, in the same order.
    both = list(zip(mine.episodes(), opponents.episodes(), strict=True))
    assert {name for episode, _ in both for name in episode.agents} == {"white", "black"}
    for episode, its in both:
        assert len(episode.agents) == len(its.agents) == 1 and episode.agents.keys() != its.agents.keys()
        assert episode.total_reward == sum(episode.agents.values()) and episode.length == its.length


def trained(seed, statistics=None):
    return Trained(PPOSampler, CONFIG, weights(2, 3, seed), statistics, 0)


def test_each_episode_has_one_of_the_pool_and_all_come_as_often():
    pool = Pool()
    for seed in range(1, MOST_KEPT + 4):
        pool.add(Opponent({"default_policy": trained(seed)}, {}))
    assert len(pool.opponents) == MOST_KEPT
    assert (
        pool.opponents[0].policies["default_policy"].weights["fc_1/kernel"][0, 0]
        == weights(2, 3, 4)["fc_1/kernel"][0, 0]
    )
    copies, opponents, _ = opposed(pool, copies=1)
    drawn = []
    draw = opponents._draw

    def watched(copy):
        draw(copy)
        drawn.append(opponents._actors[copy]._trained)

    opponents._draw = watched
    sampler_on(copies.slots[0], PPOSampler, 4000).sample()
    counts = [sum(each is opponent.policies["default_policy"] for each in drawn) for opponent in pool.opponents]
    assert sum(counts) == len(drawn) > 400
    assert min(counts) > 0 and max(counts) < 3 * len(drawn) / MOST_KEPT


def test_an_opponent_acts_for_each_agent_by_its_policy_of_it():
    its = Opponent({"of white": trained(1), "of black": trained(2)}, {"white": "of white", "black": "of black"})
    copies, opponents, _ = opposed(Pool((its,)), copies=2)
    mine = sampler_on(copies.slots[0], PPOSampler, 1)
    for _ in range(30):
        mine.sample()
        for copy in range(2):
            [name] = copies.names(1, copy)
            assert opponents._actors[copy]._trained is its.policies[f"of {name}"]


def test_a_filter_leaves_masks_alone_and_learns_nothing():
    statistics = Statistics(np.full(5, 2.0), np.full(5, 4.0), None)
    mine = Learned(trained(1, statistics), Discrete(3, 0), 3, (2,))
    seen = mine.seen(np.array([[2, 6, 1, 0, 1]], np.float32))
    assert seen.tolist() == [[0, pytest.approx(1), 1, 0, 1]] and seen.dtype == np.float32


def test_chance_takes_every_legal_action_as_often_and_no_other():
    random = np.random.default_rng(0)
    seen = np.tile(np.array([9, 9, 0, 1, 1], np.float32), (3000, 1))
    counts = np.bincount(Chance(Discrete(3, 0), 3).choose(seen, random), minlength=3)
    assert counts[0] == 0 and 1400 < counts[1] < 1600
    several = MultiDiscrete(np.array([2, 3]), np.zeros(2, np.int64), np.dtype(np.int64))
    numbers = Box(np.array([-1, -np.inf], np.float32), np.array([3, np.inf], np.float32), np.dtype(np.float32))
    chosen = Chance(several, 0).choose(seen, random)
    assert chosen.shape == (3000, 2) and chosen.max(axis=0).tolist() == [1, 2]
    drawn = Chance(numbers, 0).choose(seen, random)
    assert drawn.dtype == np.float32 and drawn[:, 0].min() < -0.9 and 2.9 < drawn[:, 0].max() <= 3
    both = Chance(Composite((0, 1), (several, numbers), is_dict=False), 0).choose(seen, random)
    assert both.shape == (3000, 4) and set(both[:, 1].tolist()) == {0, 1, 2}


def test_who_got_more_has_won_and_a_draw_is_half():
    assert won(Episode(1.0, 3, {}, {"a": 1.0}), [Episode(-1.0, 3, {}, {"b": -1.0})]) == 1
    assert won(Episode(-1.0, 3, {}, {"a": -1.0}), [Episode(1.0, 3, {}, {"b": 1.0}), Episode(0, 3, {}, {})]) == 0
    assert won(Episode(0.0, 3, {}, {"a": 0.0}), [Episode(0.0, 3, {}, {"b": 0.0})]) == 0.5
    # Who does not take part neither wins nor loses.
    assert won(Episode(0.0, 3, {}, {}), [Episode(-1.0, 3, {}, {"b": -1.0})]) is None
    assert won(Episode(1.0, 3, {}, {"a": 1.0}), [Episode(0, 3, {}, {})]) is None

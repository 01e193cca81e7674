"""What samplers make of many agents, who come and go: rows, stretches, counts, and the filter of observations."""

from pathlib import Path

import numpy as np
import pytest

from rlsif.envs.find import find, make
from rlsif.envs.reference import parse
from rlsif.envs.slots import Copies, Part, shared
from rlsif.envs.vector import Step
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.spaces import Discrete
from rlsif.sampling.samplers import DQNSampler, PPOSampler, VTraceSampler
from rlsif.sampling.team import Team
from tests.unit.test_agents import slots_of
from tests.unit.test_masks import CONFIG, weights

DATA = Path(__file__).parents[1] / "data"
HEAP, CROWD = f"{DATA / 'heap.py'}:Heap", f"{DATA / 'crowd.py'}:Crowd"
AGENTS = ("a", "b", "c", "seldom", "never")


class Numbered:
    """Slots of agents that come and go by chance; an observation says which slot it is of, and its number there."""

    agents, waiting = AGENTS, None

    def __init__(self, copies):
        self._random, self._number = np.random.default_rng(0), copies * len(AGENTS)
        self._count = np.zeros(self._number)
        self._place = np.arange(self._number) % len(AGENTS)
        self.active = self._place < 3
        self.observations = self._seen()

    def _seen(self):
        self._count += 1
        return np.stack([np.arange(self._number), self._count], axis=1).astype(np.float32)

    def step(self, chosen):
        before, number = self.active, self._number
        leave = before & (self._random.random(number) < 0.1)
        comes = np.array([0.2, 0.2, 0.2, 0.02, 0.0])[self._place]
        stay = before & ~leave
        over = ~stay.reshape(-1, len(AGENTS)).any(axis=1)
        begun = np.repeat(over, len(AGENTS)) & (self._place < 3)
        self.active = stay | (~before & ~leave & (self._random.random(number) < comes)) | begun
        after = self.observations = self._seen()
        if over.any():
            self.observations = self._seen()
        return Step(after, np.ones(number), leave, np.zeros_like(leave), {}, before | self.active, over)


def sampler_of(kind, environments, fragment, features=2, actions=3, see=lambda seen: seen):
    mine = kind(environments, see, CONFIG, policy_space(Discrete(actions, 0)), fragment, np.random.default_rng(0))
    mine.set_weights(weights(features, actions, 1))
    return mine


def test_stretches_are_joined_at_ends_alone_and_no_row_is_given_twice():
    mine = sampler_of(VTraceSampler, Numbered(4), 25)
    given, most = [], 0
    for _ in range(60):
        batch = mine.sample()
        assert len(batch["obs"]) % 25 == 0 and len(batch["obs"]) >= 25 * 20
        for start in range(0, len(batch["obs"]), 25):
            slot, number = batch["obs"][start : start + 25].T
            continues = (slot[1:] == slot[:-1]) & (number[1:] > number[:-1])
            assert (continues | batch["terminateds"][start : start + 24]).all()
        given.append(batch["obs"])
        most = max(most, mine._rows.steps)
    rows = np.concatenate(given)
    assert len(np.unique(rows, axis=0)) == len(rows)
    # What waits is never more than some stretches long, though there are agents that hardly ever come.
    assert most < 25 * 20
    seldom = rows[rows[:, 0] % 5 == 3]
    assert len(seldom) > 50 and not (rows[:, 0] % 5 == 4).any()


def test_policies_beside_others_give_the_stretches_that_are_there():
    ref = parse(CROWD)
    found = find(ref, lambda agents: {"anna": "first", "ben": "late", "cleo": "first"})
    parts = [
        Part(view.agents, masks.encoder_of(view.observations), ActionAdapter(view.actions))
        for view in found.policies.values()
    ]
    copies = Copies([make(ref) for _ in range(2)], [0, 1], parts)
    samplers = [sampler_of(VTraceSampler, slots, 25) for slots in copies.slots]
    acted = [0, 0]
    for sampler, number in zip(samplers, range(2)):
        sampler.take = counting(sampler, acted, number)
    team, given = Team(copies, samplers), [[], []]
    for _ in range(12):
        batches = team.sample()
        assert team.env_steps == 50
        for rows, batch in zip(given, batches):
            assert len(batch["obs"]) % 25 == 0
            rows.append(batch["obs"])
    for rows, number in zip(given, acted):
        # What is not given yet waits: less than a stretch of each slot, and of those who left together.
        assert 0 <= number - len(np.concatenate(rows)) < 25 * 5 and len(np.concatenate(rows)) > 200


def counting(sampler, acted, number):
    """Count the rows that a sampler takes."""
    take = sampler.take

    def counted(step):
        acted[number] += int(sampler._active.sum())
        return take(step)

    return counted


def test_a_batch_is_as_many_env_steps_as_asked_for_and_has_a_row_for_each_agent_that_acted():
    for kind in (PPOSampler, DQNSampler):
        mine = sampler_of(kind, slots_of(2), 40)
        batch = mine.sample()
        assert mine.env_steps == 80 and 80 < len(batch["obs"]) <= 240
        assert mine.timestep == 80
        for episode in mine.episodes():
            assert set(episode.agents) == {"anna", "ben", "cleo"}
            assert episode.total_reward == pytest.approx(sum(episode.agents.values()))
            assert episode.length <= 12 and set(episode.metrics) == {"place"}


def test_the_filter_learns_from_observations_that_are_there():
    seen = []

    def see(observations):
        seen.append(observations)
        return observations

    sampler_of(PPOSampler, slots_of(2), 60, see=see).sample()
    # Nobody who is there has both at 0: not there is what that would be.
    assert (np.concatenate(seen) != 0).any(axis=1).all()


def heap():
    """Two copies of the game in turns, and the size of its mask."""
    ref = parse(HEAP)
    found = find(ref)
    assert found.mask is not None and found.agents == ("white", "black")
    encoder, adapter = masks.encoder_of(found.observations), ActionAdapter(found.actions)
    return shared([make(ref) for _ in range(2)], [5, 6], encoder, adapter), found.mask.size


def turns(slots):
    """What every agent did and got, in the games that a sampler's steps were, told by the steps themselves."""
    games, step_of = [], slots.step
    open_ = {}

    def step(chosen):
        acted, seen = slots.active, slots.observations.copy()
        told = step_of(chosen)
        for slot in np.flatnonzero(acted):
            open_[int(slot)] = {"obs": seen[slot], "reward": 0.0}
        for slot, row in list(open_.items()):
            row["reward"] += told.rewards[slot]
            ended = bool(told.terminated[slot])
            if ended or (slots.active[slot] and not told.over[slot // 2]):
                games.append({**open_.pop(slot), "slot": slot, "ended": ended, "next": told.observations[slot]})
        return told

    slots.step = step
    return games


@pytest.mark.parametrize("kind", [PPOSampler, DQNSampler, VTraceSampler])
def test_an_agents_row_has_what_the_turns_of_others_brought(kind):
    slots, size = heap()
    told = turns(slots)
    mine = kind(slots, lambda seen: seen, CONFIG, Discrete(3, 0), 25, np.random.default_rng(0), size)
    mine.set_weights(weights(2, 3, 1))
    batches = [mine.sample() for _ in range(6)]
    rows = np.concatenate([batch["obs"] for batch in batches])
    rewards = np.concatenate([batch["rewards"] for batch in batches])
    # Rows of one slot come in order; every one was told, once.
    by_reward = sorted(zip(map(tuple, rows.tolist()), rewards.round(4).tolist()))
    expected = sorted((tuple(row["obs"].tolist()), round(row["reward"], 4)) for row in told)
    missing = len(expected) - len(by_reward)
    assert 0 <= missing <= (0 if kind is not VTraceSampler else 4 * 25)
    if not missing:
        assert [seen for seen, _ in by_reward] == [seen for seen, _ in expected]
        assert [r for _, r in by_reward] == pytest.approx([r for _, r in expected], abs=1e-4)
    if kind is DQNSampler:
        after = np.concatenate([batch["new_obs"] for batch in batches])
        ends = np.concatenate([batch["terminateds"] for batch in batches])
        assert ends.sum() == sum(row["ended"] for row in told)
        assert sorted(map(tuple, after.tolist())) == sorted(tuple(row["next"].tolist()) for row in told)
    for episode in mine.episodes():
        assert episode.agents["white"] + episode.agents["black"] == pytest.approx(episode.total_reward)


def test_advantages_follow_an_agent_over_the_turns_of_others():
    slots, size = heap()
    mine = PPOSampler(slots, lambda seen: seen, CONFIG, Discrete(3, 0), 200, np.random.default_rng(0), size)
    mine.set_weights(weights(2, 3, 1))
    batch, rows = mine.sample(), mine._rows
    complete, at = mine._complete(), 0
    for slot in range(4):
        mine_at = np.flatnonzero(complete[:, slot])
        after = np.flatnonzero(rows["valid"][:, slot])
        running, expected = 0.0, []
        for place in reversed(range(len(mine_at))):
            row = mine_at[place]
            if rows["terminateds"][row, slot]:
                following, running = 0.0, 0.0
            elif place + 1 < len(after):
                following = rows["values"][after[place + 1], slot]
            else:
                following = mine._policy.values(mine._seen)[slot]
            running = rows["rewards"][row, slot] + 0.9 * following - rows["values"][row, slot] + 0.9 * 0.9 * running
            expected.append(running)
        here = slice(at, at + len(mine_at))
        assert batch["advantages"][here] == pytest.approx(expected[::-1], abs=1e-4)
        at += len(mine_at)
    assert at == len(batch["obs"])

"""What samplers make of many agents, who come and go: rows, stretches, counts, and the filter of observations."""

import numpy as np
import pytest

from rlsif.envs.vector import Step
from rlsif.policies.actions import policy_space
from rlsif.policies.spaces import Discrete
from rlsif.sampling.samplers import DQNSampler, PPOSampler, VTraceSampler
from tests.unit.test_agents import slots_of
from tests.unit.test_masks import CONFIG, weights

AGENTS = ("a", "b", "c", "seldom", "never")


class Numbered:
    """Slots of agents that come and go by chance; an observation says which slot it is of, and its number there."""

    agents = AGENTS

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
            goes_on = (slot[1:] == slot[:-1]) & (number[1:] > number[:-1])
            assert (goes_on | batch["terminateds"][start : start + 24]).all()
        given.append(batch["obs"])
        most = max(most, mine._rows.steps)
    rows = np.concatenate(given)
    assert len(np.unique(rows, axis=0)) == len(rows)
    # What waits is never more than some stretches long, though there are agents that hardly ever come.
    assert most < 25 * 20
    seldom = rows[rows[:, 0] % 5 == 3]
    assert len(seldom) > 50 and not (rows[:, 0] % 5 == 4).any()


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

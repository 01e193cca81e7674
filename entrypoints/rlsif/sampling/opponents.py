"""Opponents: those who play agents of an environment whose experience nobody learns from.

One that has learned, in another run or in this one some time ago, acts by its network in NumPy; chance takes any legal
action.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.slots import Slots
from rlsif.envs.vector import Encoder, Step, WrongValue
from rlsif.policies import masks
from rlsif.policies.actions import choices_of
from rlsif.policies.distributions import of_actions
from rlsif.policies.encoder import Seen
from rlsif.policies.spaces import Box, Composite, Discrete, MultiDiscrete, Space
from rlsif.sampling.filters import Statistics, filtered
from rlsif.sampling.samplers import Sampler, check_finite, check_masks
from rlsif.sampling.tally import Episode, Tally

Array = NDArray[Any]
# What `--opponent` names beside other runs and RANDOM: earlier policies of the run itself.
SELF = "self"
# Where the state of an env runner has its pool.
OPPONENTS = "rlsif_opponents"
# So many earlier policies of a run are kept, the newest.
MOST_KEPT = 20


@dataclass(frozen=True)
class Trained:
    """A policy that acts and no longer learns, as plain data."""

    # That of its algorithm, which makes its network.
    sampler: type[Sampler]
    # RLlib's, of network and exploration.
    settings: Mapping[str, Any]
    weights: Any
    # Those of its filter of observations; None where nothing is filtered.
    statistics: Statistics | None
    # Its count of env steps, for schedules.
    timestep: int


@dataclass(frozen=True)
class Opponent:
    """Who plays agents: a policy that acts for all, or one for each."""

    policies: Mapping[str, Trained]
    # The policy of each agent, by its name; empty where all share one.
    of_agents: Mapping[str, str]

    def policy_of(self, agent: str) -> Trained:
        """The policy that acts for an agent."""
        return self.policies[self.of_agents[agent]] if self.of_agents else next(iter(self.policies.values()))


@dataclass
class Pool:
    """The opponents of a run, of which each episode has one."""

    opponents: Sequence[Opponent] = ()
    # Since the start of the run, which says when the next is due.
    iterations: int = 0

    def add(self, opponent: Opponent) -> None:
        """Take another one, in the place of the oldest where they are too many."""
        self.opponents = (*self.opponents, opponent)[-MOST_KEPT:]

    def take(self, other: Pool) -> None:
        """Become like another."""
        self.opponents, self.iterations = other.opponents, other.iterations


class Acts(Protocol):
    """Chooses actions."""

    def choose(self, observations: Array, random: np.random.Generator) -> Array:
        """Actions [n, ...] for encoded observations [n, ...]."""


class Learned:
    """Acts by a trained policy, which draws its actions as in training."""

    def __init__(self, trained: Trained, actions: Space, mask: int, seen: Seen) -> None:
        """Take the policy, what it chooses from, and what it sees: `mask` places of the action mask behind `seen`."""
        self._trained, self._mask = trained, mask
        self._policy, self._distribution = trained.sampler.policy_of(trained.settings, seen, actions, mask)
        self._policy.set_weights(trained.weights)

    def choose(self, observations: Array, random: np.random.Generator) -> Array:
        """Actions [n, ...] for encoded observations [n, ...]."""
        mine = self._trained
        return mine.sampler.drawn(self._policy, self._distribution, self.seen(observations), random, mine.timestep)

    def seen(self, observations: Array) -> Array:
        """What the policy sees of encoded observations [n, ...]: filtered, without learning from them."""
        statistics = self._trained.statistics
        if statistics is None:
            return observations
        found = filtered(observations, statistics)
        if self._mask:
            found[..., -self._mask :] = observations[..., -self._mask :]
        return found


class Chance:
    """Takes any legal action, each as likely."""

    def __init__(self, actions: Space, mask: int) -> None:
        """Take what is chosen from, and how many places an observation has for its action mask."""
        self._choices, self._mask = choices_of(actions), mask
        numbers = actions.parts[1] if isinstance(actions, Composite) else actions
        self._numbers = numbers if isinstance(numbers, Box) else None

    def choose(self, observations: Array, random: np.random.Generator) -> Array:
        """Actions [n, ...] for encoded observations [n, ...]."""
        if self._numbers is None:
            return self._chosen(observations, random)
        low, high = self._numbers.low, self._numbers.high
        bounded = np.isfinite(low) & np.isfinite(high)
        shape = (len(observations), *low.shape)
        numbers = random.uniform(np.where(bounded, low, -1), np.where(bounded, high, 1), shape).astype(np.float32)
        if self._choices is None:
            return numbers
        return np.concatenate([self._chosen(observations, random).astype(np.float32), numbers], axis=1)

    def _chosen(self, observations: Array, random: np.random.Generator) -> Array:
        choices = self._choices
        assert choices is not None
        size = choices.n if isinstance(choices, Discrete) else int(choices.nvec.sum())
        logits = np.zeros((len(observations), size), np.float32)
        if self._mask:
            logits[~masks.legal(observations, self._mask)] = masks.ILLEGAL_LOGIT
        return of_actions(choices).sample(logits, random)[0]


@dataclass
class Opponents:
    """Plays some agents of every copy of an environment, in each episode as another of the pool, each as likely."""

    # None for chance.
    pool: Pool | None
    actions: Space
    mask: int
    encoder: Encoder
    random: np.random.Generator
    # What choosing took so far.
    seconds: float = 0.0
    _made: dict[int, tuple[Opponent, dict[int, Acts]]] = field(default_factory=dict)
    _ended: list[Episode] = field(default_factory=list)

    def sit(self, slots: Slots) -> None:
        """Take the slots of these agents."""
        self._slots, self._tally = slots, Tally(slots)
        self._active = slots.active
        self._chance = Chance(self.actions, self.mask)
        # Who acts in each slot; drawn before the first step, when the pool has come.
        self._actors: list[Acts] = []

    def choose(self) -> Array:
        """What is chosen for what the slots show now, [slots, ...]. Raises WrongValue."""
        began = time.perf_counter()
        chosen = self._chosen()
        self.seconds += time.perf_counter() - began
        return chosen

    def _chosen(self) -> Array:
        slots = self._slots
        check_finite(self._tally, slots.observations)
        if self.mask:
            check_masks(self._tally, slots, self.actions, self.mask)
        if not self._actors:
            self._actors = [self._chance] * len(slots.active)
            for copy in range(self._tally.copies):
                self._draw(copy)
        self._active, chosen = slots.active, _nothing(self.actions, len(slots.active))
        rows_of: dict[Acts, list[int]] = {}
        for row in np.flatnonzero(slots.active).tolist():
            rows_of.setdefault(self._actors[row], []).append(row)
        for who, rows in rows_of.items():
            chosen[rows] = who.choose(slots.observations[rows], self.random)
        return chosen

    def take(self, step: Step) -> None:
        """Hear what the slots got; where an episode ended, another opponent plays the next. Raises WrongValue."""
        check_finite(self._tally, step.observations, step.rewards)
        self._ended += self._tally.add(step, self._active, self._active & (step.terminated | step.truncated))
        assert step.over is not None
        for copy in np.flatnonzero(step.over).tolist():
            self._draw(copy)

    def episodes(self) -> list[Episode]:
        """What the agents got in the episodes that ended since the last call, in the order of their ends."""
        ended, self._ended = self._ended, []
        return ended

    def _draw(self, copy: int) -> None:
        if self.pool is None:
            return
        if not self.pool.opponents:
            raise WrongValue("no opponent has come to play in it")
        opponent = self.pool.opponents[int(self.random.integers(len(self.pool.opponents)))]
        names = self._slots.names(copy)
        for seat, name in enumerate(names):
            self._actors[copy * len(names) + seat] = self._actor(opponent, opponent.policy_of(name))

    def _actor(self, opponent: Opponent, trained: Trained) -> Acts:
        if id(opponent) not in self._made:
            kept = {id(each) for each in self.pool.opponents} if self.pool else set()
            self._made = {number: made for number, made in self._made.items() if number in kept}
        _, actors = self._made.setdefault(id(opponent), (opponent, {}))
        if id(trained) not in actors:
            actors[id(trained)] = Learned(trained, self.actions, self.mask, self.encoder.seen)
        return actors[id(trained)]


def _nothing(space: Space, number: int) -> Array:
    """Room for so many actions of a policy's space."""
    if isinstance(space, Composite):
        choices, numbers = space.parts
        assert isinstance(choices, MultiDiscrete) and isinstance(numbers, Box)
        return np.zeros((number, choices.nvec.size + numbers.low.size), np.float32)
    if isinstance(space, Box):
        return np.zeros((number, *space.low.shape), np.float32)
    return np.zeros((number, space.nvec.size) if isinstance(space, MultiDiscrete) else number, np.int32)


def won(mine: Episode, others: Sequence[Episode]) -> float | None:
    """1 where an agent of the run got more than every other one, 0 where it got less, and half of that for a draw.

    None where one of the two sides took no part.
    """
    got = mine.agents.values(), _returns(others)
    if not all(got):
        return None
    best, theirs = map(max, got)
    return 0.5 + 0.5 * (best > theirs) - 0.5 * (best < theirs)


def _returns(episodes: Sequence[Episode]) -> list[float]:
    return [total for episode in episodes for total in episode.agents.values()]

"""Returns and lengths of the episodes that a sampler steps through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.metrics import NONE, Metrics
from rlsif.envs.vector import Environments, Step

Array = NDArray[Any]


@dataclass
class Episode:
    """One that ended: what all agents got together, and where there are many what each got that took part."""

    total_reward: float
    length: int
    metrics: Metrics = field(default_factory=dict)
    agents: Mapping[str, float] = field(default_factory=dict)


class Tally:
    """Counts in every copy of an environment, of whose agents each has a slot."""

    def __init__(self, environments: Environments) -> None:
        """Begin an episode in each."""
        self._agents, self._slots = environments.agents, len(environments.active)
        self._each = max(1, len(self._agents))
        self.copies = self._slots // self._each
        self._returns, self._lengths = np.zeros(self._slots), np.zeros(self.copies, np.int64)
        # Which agents took part in the episode so far.
        self._part = np.zeros(self._slots, np.bool_)

    def active_copies(self, active: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Of which copies this is an env step, of the slots that act; of many agents, there is always one who does."""
        return np.ones(self.copies, np.bool_) if self._agents else active

    def begun(self, step: Step, active: NDArray[np.bool_], done: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The slots that act on the first observation of a new episode, of those that are active now."""
        return done if step.over is None else active & np.repeat(step.over, self._each)

    def add(self, step: Step, active: NDArray[np.bool_], done: NDArray[np.bool_]) -> list[Episode]:
        """Count a step in which these slots were active, and came to an end; give the episodes that ended with it."""
        self._returns += np.where(active if step.waited is None else active | step.waited, step.rewards, 0)
        self._lengths += self.active_copies(active)
        if self._agents:
            self._part |= active
        over = done if step.over is None else step.over
        copies = np.flatnonzero(over).tolist()
        if not self._agents:
            return [self._ended_alone(copy, step.metrics.get(copy, NONE)) for copy in copies]
        names = self._agents
        return [self._ended(copy, step.metrics.get(copy, NONE), step.names.get(copy, names)) for copy in copies]

    def _ended_alone(self, copy: int, metrics: Metrics) -> Episode:
        episode = Episode(float(self._returns[copy]), int(self._lengths[copy]), metrics, NONE)
        self._returns[copy] = self._lengths[copy] = 0
        return episode

    def _ended(self, copy: int, metrics: Metrics, names: Sequence[str]) -> Episode:
        mine = slice(copy * self._each, (copy + 1) * self._each)
        took_part = zip(names, self._returns[mine].tolist(), self._part[mine].tolist())
        agents = {name: total for name, total, part in took_part if part}
        episode = Episode(float(self._returns[mine].sum()), int(self._lengths[copy]), metrics, agents)
        self._returns[mine] = self._lengths[copy] = 0
        self._part[mine] = False
        return episode

    def steps(self, slot: int) -> int:
        """How long the episode is so far to which a slot belongs."""
        return int(self._lengths[slot // self._each])

    def who(self, slot: int) -> str:
        """A slot in words."""
        copy, place = divmod(slot, self._each)
        agent = f"agent {self._agents[place]} in " if self._agents else ""
        return f"{agent}copy {copy} of the environment"

"""Several policies in environments of many agents: each has a sampler for the slots of its agents."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rlsif.envs.slots import Copies
from rlsif.sampling.samplers import Array, Sampler
from rlsif.sampling.tally import Episode


class Team:
    """Lets every policy choose for its agents, steps all copies at once, and has each take what its agents got."""

    def __init__(self, copies: Copies, samplers: Sequence[Sampler]) -> None:
        """Take the copies, and the samplers of their slots, in the same order."""
        self._copies, self._samplers = copies, samplers
        # What the environments took so far.
        self.env_seconds = 0.0

    @property
    def env_steps(self) -> int:
        """Env steps of the batch that was given last, whoever acted in them."""
        return self._samplers[0].env_steps

    def sample(self, fragments: int = 1) -> list[dict[str, Array]]:
        """A batch of each policy, as its sampler gives it; all are of the same env steps. Raises WrongValue."""
        for sampler in self._samplers:
            sampler.begin()
        while self.env_steps < self._samplers[0].wanted(fragments):
            self._act()
        return [sampler.batch() for sampler in self._samplers]

    def _act(self) -> None:
        chosen = [sampler.choose() for sampler in self._samplers]
        began = time.perf_counter()
        steps = self._copies.step(chosen)
        self.env_seconds += time.perf_counter() - began
        for sampler, step in zip(self._samplers, steps):
            sampler.take(step)

    def episodes(self) -> list[Episode]:
        """The episodes that ended since the last call, with the agents of all policies."""
        return [_whole(parts) for parts in zip(*(sampler.episodes() for sampler in self._samplers))]

    def close(self) -> None:
        """Close the environments."""
        self._copies.close()


def _whole(parts: Sequence[Episode]) -> Episode:
    """An episode, of what the agents of each policy had in it."""
    agents = {name: total for part in parts for name, total in part.agents.items()}
    return Episode(sum(part.total_reward for part in parts), parts[0].length, parts[0].metrics, agents)

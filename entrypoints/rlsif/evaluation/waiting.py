"""What is told while no episode of an evaluation ends: whether an environment is slow or endless, only a user knows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rlsif.envs.episodes import Episode

# So long is waited before it is told, and between two times, in seconds.
SECONDS = 60.0


class Waiting:
    """To be called after every reset and step of any episode; `say` takes a sentence, once a minute."""

    def __init__(self, bound: str, say: Callable[[str], object], clock: Callable[[], float] = time.monotonic) -> None:
        """Begin to wait. `bound` says in words when an episode is over at the latest."""
        self._bound, self._say, self._clock = bound, say, clock
        self._since = self._told = clock()

    def __call__(self, episode: Episode) -> None:
        """See an episode as it is now."""
        now = self._clock()
        if episode.over:
            self._since = self._told = now
        elif now - self._told >= SECONDS:
            self._told = now
            self._say(
                f"no episode has ended for {now - self._since:.0f} s: that of seed {episode.seed} has"
                f" {episode.length:,} steps; {self._bound}, and Ctrl-C ends this"
            )


def bound_of(max_episode_steps: int | None, most: int) -> str:
    """When an episode is over at the latest, in words: by the environment's time limit, or by ours."""
    if max_episode_steps:
        return f"its time limit is {max_episode_steps:,}"
    return f"after {most:,} it is given up, for the environment has no max_episode_steps"


@contextmanager
def to_standard_error() -> Iterator[Callable[[str], object]]:
    """Give what writes a line where errors go now, whatever becomes of that."""
    with os.fdopen(os.dup(2), "w", buffering=1) as stream:
        yield lambda line: stream.write(line + "\n")

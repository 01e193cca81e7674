"""Episodes of a trained agent, several at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Tuple

from rlsif.envs.metrics import KEY, numbers
from rlsif.envs.progress import PROGRESS
from rlsif.errors import RlsifError

# An observation and the info that came with it.
Seen = Tuple[Any, Mapping[str, Any]]
# More at once are hardly faster.
AT_ONCE = 32
# An episode of an environment without a time limit may never end: so many times as long as the longest in training.
MOST_TIMES = 100
LEAST_OF_MOST_STEPS, MOST_STEPS = 10_000, 100_000


class Acts(Protocol):
    """What chooses actions."""

    def act(self, seen: list[Seen], environments: list[int], deterministic: bool) -> list[Any]:
        """An action for each of these environments."""

    def forget(self, environment: int) -> None:
        """Begin a new episode there."""


@dataclass
class Episode:
    """One episode, by the seed of its reset."""

    seed: int
    total_reward: float = 0.0
    length: int = 0
    # The environment's own numbers, as it gave them so far.
    metrics: dict[str, float] = field(default_factory=dict)


def play(
    agent: Acts,
    environments: list[Any],
    episodes: int,
    seed: int,
    deterministic: bool,
    watch: Callable[[Episode], None] = lambda _: None,
    most_steps: int = MOST_STEPS,
    cut: bool = False,
) -> list[Episode]:
    """Play episodes with the seeds `seed`, `seed` + 1, ... and give them in that order.

    `watch` is called after every reset and step. Raises RlsifError for an environment that fails, or whose episode
    does not end within `most_steps`; with `cut` it counts as far as it is then.
    """
    played = [Episode(seed + number) for number in range(episodes)]
    following = iter(played)
    playing: dict[int, Episode] = {}
    seen: dict[int, Seen] = {}

    def begin(index: int) -> None:
        episode = next(following, None)
        if episode is None:
            playing.pop(index, None)
            return
        agent.forget(index)
        playing[index] = episode
        with failing(f"in the reset of the episode of seed {episode.seed}"):
            seen[index] = environments[index].reset(seed=episode.seed)
        PROGRESS.resets += 1
        watch(episode)

    for index, environment in enumerate(environments):
        environment.action_space.seed(seed + index)
        begin(index)
    while playing:
        active = list(playing)
        actions = agent.act([seen[index] for index in active], active, deterministic)
        for index, action in zip(active, actions):
            if _step(environments[index], action, playing[index], seen, index, most_steps, cut):
                watch(playing[index])
                begin(index)
            else:
                watch(playing[index])
    return played


@contextlib.contextmanager
def failing(where: str) -> Iterator[None]:
    """Tell of what an environment raises in a sentence. Raises RlsifError."""
    try:
        yield
    except RlsifError:
        raise
    except (Exception, SystemExit) as problem:
        said = " ".join(f"{type(problem).__name__}: {problem}".split())
        raise RlsifError(f"the environment failed {where}: {said}") from problem


def number_of(reward: Any, where: str) -> float:
    """A reward as a number that can be added up. Raises RlsifError."""
    try:
        number = float(reward)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RlsifError(f"the environment gave {reward!r} as reward {where}; it must be a finite number")
    return number


def most_steps(lengths: Sequence[int]) -> int:
    """How long an episode may be after training in which episodes were as long as these; it is an end, not a limit."""
    return min(max(MOST_TIMES * max(lengths, default=0), LEAST_OF_MOST_STEPS), MOST_STEPS)


def _step(
    environment: Any, action: Any, episode: Episode, seen: dict[int, Seen], index: int, most: int, cut: bool
) -> bool:
    """Step, and count; give whether the episode ended."""
    where = f"in step {episode.length + 1} of the episode of seed {episode.seed}"
    with failing(where):
        observation, reward, terminated, truncated, info = environment.step(action)
        if info and KEY in info:
            episode.metrics.update(numbers(info[KEY]))
    seen[index] = observation, info
    episode.total_reward += number_of(reward, where)
    episode.length += 1
    PROGRESS.steps += 1
    ended = bool(terminated or truncated)
    if episode.length >= most and not ended:
        if cut:
            return True
        raise RlsifError(
            f"the episode of seed {episode.seed} has not ended after {most:,} steps;"
            " give the environment a max_episode_steps"
        )
    return ended

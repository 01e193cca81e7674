"""Episodes of a trained agent, several at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Tuple

from rlsif.envs.progress import PROGRESS
from rlsif.errors import RlsifError

# An observation and the info that came with it.
Seen = Tuple[Any, Mapping[str, Any]]
# More at once are hardly faster.
AT_ONCE = 32
# An episode of an environment without a time limit may never end.
MOST_STEPS = 100_000


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


def play(
    agent: Acts,
    environments: list[Any],
    episodes: int,
    seed: int,
    deterministic: bool,
    watch: Callable[[Episode], None] = lambda _: None,
) -> list[Episode]:
    """Play episodes with the seeds `seed`, `seed` + 1, ... and give them in that order.

    `watch` is called after every reset and step. Raises RlsifError for an environment that fails, or whose
    episode does not end.
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
            if _step(environments[index], action, playing[index], seen, index):
                watch(playing[index])
                begin(index)
            else:
                watch(playing[index])
    return played


def _step(environment: Any, action: Any, episode: Episode, seen: dict[int, Seen], index: int) -> bool:
    """Step, and count; give whether the episode ended."""
    try:
        observation, reward, terminated, truncated, info = environment.step(action)
    except Exception as problem:
        where = f"in step {episode.length + 1} of the episode of seed {episode.seed}"
        raise RlsifError(f"the environment failed {where}: {type(problem).__name__}: {problem}") from problem
    seen[index] = observation, info
    episode.total_reward += float(reward)
    episode.length += 1
    PROGRESS.steps += 1
    if episode.length >= MOST_STEPS:
        raise RlsifError(
            f"the episode of seed {episode.seed} has not ended after {MOST_STEPS:,} steps;"
            " give the environment a max_episode_steps"
        )
    return bool(terminated or truncated)

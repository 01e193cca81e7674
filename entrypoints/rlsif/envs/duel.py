"""Two policies in one environment of many agents, against each other: who wins, how often, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from rlsif.envs.episodes import Acts, Episode, Seen, acted, seed_actions
from rlsif.envs.find import FoundEnv
from rlsif.envs.legal import random_action_of

# What plays against a run without having learned anything.
RANDOM = "random"
# Of a normal distribution, for 95 of 100.
DEVIATIONS = 1.959964


class Random:
    """Takes any legal action."""

    def __init__(self, env: FoundEnv, seed: int) -> None:
        """Draw by a seed."""
        self._views = [env.seen_by(agent) for agent in env.agents]
        seed_actions(env, seed)

    def act(self, seen: list[Seen], slots: list[int], deterministic: bool) -> list[Any]:
        """An action for each of these slots."""
        views = [self._views[slot % len(self._views)] for slot in slots]
        return [random_action_of(view.action_space, view.mask, *each, view.ref.name) for view, each in zip(views, seen)]

    def rewarded(self, slot: int, reward: float) -> None:
        """Take what the agent of a slot got in a step."""

    def forget(self, slot: int) -> None:
        """Begin a new episode there."""


class Duel:
    """One agent's place is a policy's, and all others are the opponent's; the places change from episode to episode."""

    def __init__(self, mine: Acts, theirs: Acts, agents: int) -> None:
        """Take both, and how many agents the environment has."""
        self._players, self._agents = (mine, theirs), agents
        # Of each environment: the number of its episode. Episodes begin in the order of their numbers.
        self._episode: dict[int, int] = {}
        self._begun = 0

    def act(self, seen: list[Seen], slots: list[int], deterministic: bool) -> list[Any]:
        """An action for each of these slots, of the player whose it is."""
        return acted(self._whose, seen, slots, deterministic)

    def rewarded(self, slot: int, reward: float) -> None:
        """Take what the agent of a slot got in a step."""
        self._whose(slot).rewarded(slot, reward)

    def forget(self, slot: int) -> None:
        """Begin a new episode there; the first slot of an environment begins it."""
        environment, place = divmod(slot, self._agents)
        if place == 0:
            self._episode[environment] = self._begun
            self._begun += 1
        for player in self._players:
            player.forget(slot)

    def _whose(self, slot: int) -> Acts:
        return self._players[not self._is_mine(slot)]

    def _is_mine(self, slot: int) -> bool:
        environment, place = divmod(slot, self._agents)
        return place == self._episode[environment] % self._agents


def returns(episodes: Sequence[Episode], agents: Sequence[str], own: Sequence[str] = ()) -> list[float]:
    """What the policy's agents got together in each episode: its `own`, or without those another one in each.

    Episodes in which none of them took part do not count.
    """
    return [sum(mine) for mine, _ in _sides(episodes, agents, own) if mine]


def results(episodes: Sequence[Episode], agents: Sequence[str], own: Sequence[str] = ()) -> dict[str, Any]:
    """How often the policy won, drew and lost, its share of wins with an interval of 95 %, and its own returns.

    It wins where its agent, or the best of its `own`, got more than the best of the others. A draw is half a win.
    Episodes count in which both sides took part; where there are none, the shares are None.
    """
    best = [(max(my), max(their)) for my, their in _sides(episodes, agents, own) if my and their]
    wins = sum(my > their for my, their in best)
    draws = sum(my == their for my, their in best)
    rate = (wins + draws / 2) / len(best) if best else None
    got = returns(episodes, agents, own)
    return {
        "wins": wins,
        "draws": draws,
        "losses": len(best) - wins - draws,
        "win_rate": rate,
        "win_rate_interval": None if rate is None else interval(rate, len(best)),
        "return_mean": sum(got) / len(got) if got else None,
    }


def _sides(
    episodes: Sequence[Episode], agents: Sequence[str], own: Sequence[str]
) -> Iterator[tuple[list[float], list[float]]]:
    """What the policy's agents got in each episode that took part, and what the others got."""
    for number, episode in enumerate(episodes):
        mine = own or (agents[number % len(agents)],)
        got = episode.agents.items()
        yield [total for name, total in got if name in mine], [total for name, total in got if name not in mine]


def interval(rate: float, number: int) -> tuple[float, float]:
    """Wilson's interval of a share in so many trials (Wilson 1927), which holds for few of them, too."""
    squared = DEVIATIONS**2 / number
    middle = (rate + squared / 2) / (1 + squared)
    width = DEVIATIONS * math.sqrt(rate * (1 - rate) / number + squared / (4 * number)) / (1 + squared)
    return max(0.0, middle - width), min(1.0, middle + width)

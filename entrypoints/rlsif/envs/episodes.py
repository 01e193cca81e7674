"""Episodes of a trained agent, several at once."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Tuple

from rlsif.envs import answers
from rlsif.envs.agents import AgentId, Outcome, agents_of
from rlsif.envs.find import FoundEnv
from rlsif.envs.legal import random_action_of
from rlsif.envs.progress import PROGRESS
from rlsif.envs.slots import OfAgents
from rlsif.errors import RlsifError

# An observation and the info that came with it.
Seen = Tuple[Any, Mapping[str, Any]]
# More at once are hardly faster.
AT_ONCE = 32
# An episode of an environment without a time limit may never end: so many times as long as the longest in training.
MOST_TIMES = 100
LEAST_OF_MOST_STEPS, MOST_STEPS = 10_000, 100_000


class Acts(Protocol):
    """What chooses actions. Each agent of each environment has a slot; a single agent's is its environment's number."""

    def act(self, seen: list[Seen], slots: list[int], deterministic: bool) -> list[Any]:
        """An action for each of these slots."""

    def rewarded(self, slot: int, reward: float) -> None:
        """Take what the agent of a slot got in a step."""

    def forget(self, slot: int) -> None:
        """Begin a new episode there."""


def acted(whose: Callable[[int], Acts], seen: list[Seen], slots: list[int], deterministic: bool) -> list[Any]:
    """An action for each of these slots, of the one whose it is."""
    actions: dict[int, Any] = {}
    players = {slot: whose(slot) for slot in slots}
    for player in dict.fromkeys(players.values()):
        mine = [(each, slot) for each, slot in zip(seen, slots) if players[slot] is player]
        chosen = player.act([each for each, _ in mine], [slot for _, slot in mine], deterministic)
        actions.update(zip((slot for _, slot in mine), chosen))
    return [actions[slot] for slot in slots]


class Team:
    """Agents of several policies, each of which acts for its own."""

    def __init__(self, players: Mapping[str, Acts], env: FoundEnv) -> None:
        """Take who acts for each agent, by the agent's name."""
        self._players = [players[agent] for agent in env.agents]

    def act(self, seen: list[Seen], slots: list[int], deterministic: bool) -> list[Any]:
        """An action for each of these slots, by the policy whose it is."""
        return acted(self._whose, seen, slots, deterministic)

    def rewarded(self, slot: int, reward: float) -> None:
        """Take what the agent of a slot got in a step."""
        self._whose(slot).rewarded(slot, reward)

    def forget(self, slot: int) -> None:
        """Begin a new episode there."""
        self._whose(slot).forget(slot)

    def _whose(self, slot: int) -> Acts:
        return self._players[slot % len(self._players)]


def seed_actions(env: FoundEnv, seed: int | None) -> None:
    """Have `random_actions` draw by a seed."""
    for view in env.views.values():
        view.action_space.seed(seed)


def random_actions(env: FoundEnv, outcome: Outcome) -> dict[AgentId, Any]:
    """Any legal action of each agent that acts next. Raises RlsifError for a mask that is not there, or wrong."""
    views = {agent: env.seen_by(str(agent)) for agent in outcome.acting}
    return {
        agent: random_action_of(view.action_space, view.mask, *outcome.seen[agent], env.ref.name)
        for agent, view in views.items()
    }


@dataclass
class Episode:
    """One episode, by the seed of its reset."""

    seed: int
    # Of all agents together.
    total_reward: float = 0.0
    length: int = 0
    # Whether it has ended.
    over: bool = False
    # The environment's own numbers.
    metrics: Mapping[str, float] = field(default_factory=dict)
    # What each agent got that took part, where there are many.
    agents: dict[str, float] = field(default_factory=dict)


def play(
    agent: Acts,
    environments: list[Any],
    episodes: int,
    seed: int,
    deterministic: bool,
    watch: Callable[[Episode], None] = lambda _: None,
    most_steps: int = MOST_STEPS,
    cut: bool = False,
    agents: Sequence[str] = (),
) -> list[Episode]:
    """Play episodes with the seeds `seed`, `seed` + 1, ... and give them in that order.

    `agents` are the names of many agents in the order of their slots; in the process of an environment they may have
    another one. `watch` is called after every reset and step. Raises RlsifError for an environment that fails, or whose
    episode does not end within `most_steps`; with `cut` it counts as far as it is then.
    """
    played = [Episode(seed + number) for number in range(episodes)]
    following = iter(played)
    tables = [_Table(environment, number, agents) for number, environment in enumerate(environments)]
    playing: list[_Table] = []

    def begin(table: _Table) -> bool:
        episode = next(following, None)
        if episode is None:
            return False
        for slot in table.slots.values():
            agent.forget(slot)
        table.begin(episode)
        watch(episode)
        return True

    for index, table in enumerate(tables):
        table.seed_actions(seed + index)
        if begin(table):
            playing.append(table)
    while playing:
        acting = [(table, who) for table in playing for who in table.acting]
        seen, slots = [table.seen[who] for table, who in acting], [table.slots[who] for table, who in acting]
        actions = iter(agent.act(seen, slots, deterministic))
        for table in list(playing):
            ended = table.step({who: next(actions) for who in table.acting}, most_steps, cut)
            for who, reward in table.rewards.items():
                agent.rewarded(table.slots[who], reward)
            watch(table.episode)
            if ended and not begin(table):
                playing.remove(table)
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
        number = answers.number(reward)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise RlsifError(f"the environment gave {reward!r} as reward {where}; it must be a finite number")
    return number


def most_steps(lengths: Sequence[int]) -> int:
    """How long an episode may be after training in which episodes were as long as these; it is an end, not a limit."""
    return min(max(MOST_TIMES * max(lengths, default=0), LEAST_OF_MOST_STEPS), MOST_STEPS)


class _Table:
    """An environment with one episode after the other, and the agents that act in it: one, or many."""

    def __init__(self, environment: Any, number: int, order: Sequence[str]) -> None:
        """Take an environment, the `number`th of those that play at once, and in which order its agents have slots."""
        self._environment = environment
        agents = agents_of(environment)
        if order:
            by_name = {str(agent): agent for agent in agents}
            agents = tuple(by_name[name] for name in order)
        self._many, names = bool(agents), agents or (None,)
        self.slots: dict[AgentId, int] = {who: number * len(names) + place for place, who in enumerate(names)}
        self.acting: Sequence[AgentId] = ()
        self.seen: Mapping[AgentId, Seen] = {}
        # What each agent got in the last step.
        self.rewards: Mapping[AgentId, float] = {}
        self._metrics = OfAgents()

    def seed_actions(self, seed: int) -> None:
        """Have the space of actions draw by a seed."""
        if not self._many:
            self._environment.action_space.seed(seed)

    def begin(self, episode: Episode) -> None:
        """Begin an episode, by its seed."""
        self.episode = episode
        with failing(f"in the reset of the episode of seed {episode.seed}"):
            begun = self._environment.reset(seed=episode.seed)
        if not self._many:
            begun = Outcome({None: begun}, {}, {}, {}, (None,))
        PROGRESS.resets += 1
        self.acting, self.seen = begun.acting, begun.seen
        self._join()

    def step(self, actions: Mapping[AgentId, Any], most: int, cut: bool) -> bool:
        """Step, and count; give whether the episode ended. Raises RlsifError."""
        episode = self.episode
        where = f"in step {episode.length + 1} of the episode of seed {episode.seed}"
        with failing(where):
            outcome = self._stepped(actions)
            self._metrics.take(outcome)
        self.rewards = {who: number_of(reward, where) for who, reward in outcome.rewards.items()}
        episode.total_reward += sum(self.rewards.values())
        if self._many:
            episode.agents.update({str(who): episode.agents[str(who)] + each for who, each in self.rewards.items()})
        episode.length += 1
        PROGRESS.steps += 1
        self.acting, self.seen = outcome.acting, outcome.seen
        self._join()
        return self._has_ended(most, cut)

    def _stepped(self, actions: Mapping[AgentId, Any]) -> Outcome:
        if self._many:
            outcome: Outcome = self._environment.step(actions)
            return outcome
        observation, reward, terminated, truncated, info = self._environment.step(actions[None])
        over = bool(terminated or truncated)
        return Outcome({None: (observation, info)}, {None: reward}, {}, {}, () if over else (None,))

    def _join(self) -> None:
        """Note who takes part."""
        if self._many:
            for who in self.acting:
                self.episode.agents.setdefault(str(who), 0.0)

    def _has_ended(self, most: int, cut: bool) -> bool:
        episode, over = self.episode, not self.acting
        if episode.length >= most and not over and not cut:
            raise RlsifError(
                f"the episode of seed {episode.seed} has not ended after {most:,} steps;"
                " give the environment a max_episode_steps"
            )
        if over or episode.length >= most:
            episode.metrics, episode.over = self._metrics.ended(), True
            return True
        return False

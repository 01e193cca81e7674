"""Copies of an environment of many agents, each agent of each copy in a slot: for the policies of these agents.

A slot is what a copy is for environments of one agent: a policy acts in all slots of its agents at once. A slot whose
agent has left, or has not come yet, is not active.
"""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rlsif.envs import answers
from rlsif.envs.agents import AgentError, AgentId, ManyAgents, Outcome
from rlsif.envs.metrics import KEY, NONE, Metrics, NoNumber, numbers
from rlsif.envs.progress import PROGRESS, RESETTING
from rlsif.envs.task import set_task
from rlsif.envs.vector import Encoder, Step, WrongValue
from rlsif.errors import counted
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import MisfitError
from rlsif.policies.masks import MaskError

Array = NDArray[Any]


class Player(Protocol):
    """Acts for agents whose experience nobody learns from."""

    def sit(self, slots: Slots) -> None:
        """Take the slots of these agents, before anything else."""

    def choose(self) -> Array:
        """What is chosen for what the slots show now, [slots, ...]; what it comes to is given to `take`."""

    def take(self, step: Step) -> None:
        """Hear what the slots got."""


class Part(NamedTuple):
    """The agents of one policy, by their names, and what stands between them and it."""

    agents: Sequence[str]
    encoder: Encoder
    adapter: ActionAdapter
    # Who acts for them where they are no policy's of whoever steps the copies.
    player: Player | None = None


class Slots:
    """Those of the agents of one policy, copy by copy."""

    def __init__(self, copies: Copies, place: int, part: Part, number: int) -> None:
        """Take the copies that they are of, and how many of them there are; the copies fill them.

        `part` is the one at this place of theirs.
        """
        self._copies, self._place, self.agents = copies, place, part.agents
        self.observations, self.active = part.encoder.empty(number), np.zeros(number, np.bool_)
        # Who acted and waits for what comes of it, while others have their turns; None as long as nobody ever did.
        self.waiting: NDArray[np.bool_] | None = None

    def step(self, chosen: Array) -> Step:
        """Step every copy by what the only policy chose, [slots, ...]."""
        [step] = self._copies.step([chosen])
        return step

    def names(self, copy: int) -> Sequence[str]:
        """The agents whose slots these are in the present episode of a copy."""
        return self._copies.names(self._place, copy)

    def set_task(self, task: Any) -> None:
        """Tell every copy."""
        self._copies.set_task(task)

    def close(self) -> None:
        """Close every copy."""
        self._copies.close()


def shared(envs: Sequence[ManyAgents], seeds: Sequence[int | None], encoder: Encoder, adapter: ActionAdapter) -> Slots:
    """The slots of all agents, of a policy that they share; as `Copies` has them. Raises WrongValue."""
    [slots] = Copies(envs, seeds, [Part(envs[0].names, encoder, adapter)]).slots
    return slots


class Copies:
    """Environments of many agents stepped one after the other, each reset as soon as its episode ends for all."""

    def __init__(
        self, envs: Sequence[ManyAgents], seeds: Sequence[int | None], parts: Sequence[Part], rotates: bool = False
    ) -> None:
        """Reset them, each with a seed of its own; each agent is in one of the parts. Raises WrongValue.

        With `rotates` the parts say how many agents they have, and which ones changes from episode to episode: the
        first part has each of them in turn, in every copy.
        """
        self._envs, self._parts = envs, parts
        sizes = [len(envs) * len(part.agents) for part in parts]
        self._all = [Slots(self, place, part, size) for place, (part, size) in enumerate(zip(parts, sizes))]
        # Those that whoever steps the copies acts for.
        self.slots = [slots for slots, part in zip(self._all, parts) if part.player is None]
        # The slots of all policies one after the other, and where those of each are among them.
        ends = np.cumsum(sizes).tolist()
        self._number, self._mine = ends[-1], [slice(end - size, end) for end, size in zip(ends, sizes)]
        # What encodes for each slot, the policy that it is of, and its place among those.
        self._place = [
            (part.encoder.into, place, row)
            for place, (part, size) in enumerate(zip(parts, sizes))
            for row in range(size)
        ]
        # Of each copy, which agent is the first in the order of the parts.
        self._rotates, self._first = rotates, [copy % len(envs[0].names) if rotates else 0 for copy in range(len(envs))]
        self._slot_of = [self._slots_in(copy) for copy in range(len(envs))]
        self._steps = np.zeros(len(envs), np.int64)
        self._metrics = [OfAgents() for _ in envs]
        self._active = np.zeros(self._number, np.bool_)
        # Who acted and waits for what comes of it; None as long as nobody ever did.
        self._waiting: NDArray[np.bool_] | None = None
        # Who acts next in each copy.
        self._acting: list[Sequence[AgentId]] = [() for _ in envs]
        observations = [slots.observations for slots in self._all]
        for copy, seed in enumerate(seeds):
            self._begin(observations, copy, seed=seed)
        self._show(observations)
        for slots, part in zip(self._all, parts):
            if part.player:
                part.player.sit(slots)

    def _slots_in(self, copy: int) -> dict[AgentId, int]:
        """The slot of each agent of a copy."""
        agents = dict(zip(self._envs[0].names, self._envs[0].agents))
        return {
            agents[name]: mine.start + copy * len(part.agents) + seat
            for place, (part, mine) in enumerate(zip(self._parts, self._mine))
            for seat, name in enumerate(self.names(place, copy))
        }

    def names(self, place: int, copy: int) -> Sequence[str]:
        """The agents of the part at a place, in the present episode of a copy."""
        if not self._rotates:
            return self._parts[place].agents
        names, first = self._envs[0].names, self._first[copy]
        begin = first + sum(len(part.agents) for part in self._parts[:place])
        return [names[(begin + seat) % len(names)] for seat in range(len(self._parts[place].agents))]

    def step(self, chosen: Sequence[Array]) -> list[Step]:
        """Step every copy by what each policy without a player chose, [slots, ...] each; give what its slots got."""
        given = iter(chosen)
        of_parts = [part.player.choose() if part.player else next(given) for part in self._parts]
        actions = list(chain.from_iterable(part.adapter.each(each) for part, each in zip(self._parts, of_parts)))
        next_obs = [part.encoder.empty(mine.stop - mine.start) for part, mine in zip(self._parts, self._mine)]
        terminated, truncated, there, over = (np.zeros(n, np.bool_) for n in (*[self._number] * 3, len(self._envs)))
        # Of all copies together, for arrays take several values in little more time than one.
        told, paid, acting, given_rewards = list[int](), list[int](), list[int](), list[Any]()
        acted, waited = self._active, self._waiting
        self._active = np.zeros(self._number, np.bool_)
        self._steps += 1
        for copy, env in enumerate(self._envs):
            outcome = self._stepped(copy, env, actions)
            told += self._encode(next_obs, copy, outcome.seen)
            for slot, reward in self._slots(copy, outcome.rewards):
                paid.append(slot)
                given_rewards.append(reward)
            self._flags(terminated, copy, outcome.terminated)
            self._flags(truncated, copy, outcome.truncated)
            over[copy] = outcome.over
            acting += self._let_act(copy, outcome.acting)
        there[told], self._active[acting], rewards = True, True, np.zeros(self._number)
        rewards[paid] = self._numbers(paid, given_rewards)
        waiting = (acted if waited is None else acted | waited) & ~(terminated | truncated | self._active)
        if waited is not None or waiting.any():
            self._waiting = waiting
        ended = np.flatnonzero(over).tolist() if self._rotates else ()
        names = [{copy: self.names(place, copy) for copy in ended} for place in range(len(self._parts))]
        metrics = self._restarted(next_obs, over)
        steps = [
            Step(
                seen, rewards[mine], terminated[mine], truncated[mine], metrics, there[mine], over,
                None if waited is None else waited[mine], names=whose,
            )
            for seen, mine, whose in zip(next_obs, self._mine, names)
        ]  # fmt: skip
        for part, step in zip(self._parts, steps):
            if part.player:
                part.player.take(step)
        return [step for part, step in zip(self._parts, steps) if part.player is None]

    def _restarted(self, next_obs: list[Array], over: NDArray[np.bool_]) -> dict[int, Metrics]:
        """Begin a new episode in the copies in which one is over; give the metrics of those."""
        ended = [int(copy) for copy in np.flatnonzero(over)]
        observations, metrics = [seen.copy() for seen in next_obs] if ended else next_obs, {}
        for copy in ended:
            metrics[copy] = self._ended_with(copy)
            self._steps[copy] = 0
            if self._rotates:
                self._first[copy] = (self._first[copy] + 1) % len(self._envs[0].names)
                self._slot_of[copy] = self._slots_in(copy)
            self._begin(observations, copy)
        self._show(observations)
        return metrics

    def _show(self, observations: Sequence[Array]) -> None:
        """Let the slots of each policy have what it is to act on next."""
        for slots, mine, seen in zip(self._all, self._mine, observations):
            slots.observations, slots.active = seen, self._active[mine]
            slots.waiting = None if self._waiting is None else self._waiting[mine]

    def _begin(self, observations: Sequence[Array], copy: int, **how: Any) -> None:
        """Reset a copy; a simulator may take long to begin an episode."""
        before, PROGRESS.doing = PROGRESS.doing, RESETTING
        try:
            outcome = self._envs[copy].reset(**how)
        except AgentError as problem:
            raise WrongValue(f"copy {copy} of the environment: {problem}") from None
        PROGRESS.resets += 1
        PROGRESS.doing = before
        self._encode(observations, copy, outcome.seen)
        self._active[self._let_act(copy, outcome.acting)] = True

    def _stepped(self, copy: int, env: ManyAgents, actions: Sequence[Any]) -> Outcome:
        slot_of = self._slot_of[copy]
        try:
            outcome = env.step({agent: actions[slot_of[agent]] for agent in self._acting[copy]})
            PROGRESS.steps += 1
            self._metrics[copy].take(outcome)
        except (AgentError, NoNumber) as problem:
            raise self._wrong(copy, str(problem)) from None
        return outcome

    def _slots(self, copy: int, values: Mapping[AgentId, Any]) -> Iterator[tuple[int, Any]]:
        """The slots of agents, with what they have; names that are none of an agent's are left out."""
        slot_of = self._slot_of[copy]
        return ((slot_of[agent], value) for agent, value in values.items() if agent in slot_of)

    def _flags(self, places: NDArray[np.bool_], copy: int, flags: Mapping[AgentId, Any]) -> None:
        # In most steps nobody ends.
        if any(flags.values()):
            for slot, flag in self._slots(copy, flags):
                places[slot] = flag

    def _let_act(self, copy: int, acting: Sequence[AgentId]) -> list[int]:
        """Note who acts next in a copy; give their slots."""
        self._acting[copy], slot_of = acting, self._slot_of[copy]
        return [slot_of[agent] for agent in acting]

    def _numbers(self, slots: Sequence[int], rewards: Sequence[Any]) -> Sequence[float] | Array:
        """The rewards of slots as numbers. Raises WrongValue for one that is none."""
        with contextlib.suppress(TypeError, ValueError):
            # NumPy reads the number in a text.
            numbers = np.array([] if str in map(type, rewards) else rewards, np.float64)
            if numbers.shape == (len(rewards),) and not np.isnan(numbers).any():
                return numbers
        return [self._number_of(slot, reward) for slot, reward in zip(slots, rewards)]

    def _number_of(self, slot: int, reward: Any) -> float:
        try:
            number = answers.number(reward)
        except (TypeError, ValueError):
            number = math.nan
        if math.isnan(number):
            whose = ((copy, agent) for copy, mine in enumerate(self._slot_of) for agent, s in mine.items() if s == slot)
            copy, agent = next(whose)
            raise self._wrong(copy, f"the reward of agent {agent!r} is {reward!r}, which is no number")
        return number

    def _ended_with(self, copy: int) -> Metrics:
        try:
            return self._metrics[copy].ended()
        except NoNumber as problem:
            raise self._wrong(copy, str(problem)) from None

    def _encode(
        self, observations: Sequence[Array], copy: int, seen: Mapping[AgentId, tuple[Any, Mapping[str, Any]]]
    ) -> list[int]:
        """Encode what agents of a copy see, into their slots, which it gives."""
        slots, slot_of, place_of = list[int](), self._slot_of[copy], self._place
        for agent, (observation, info) in seen.items():
            slot = slot_of.get(agent)
            # Some name others than agents.
            if slot is None:
                continue
            slots.append(slot)
            into, place, row = place_of[slot]
            try:
                into(observations[place], row, observation, info)
            except MaskError as problem:
                raise self._wrong(copy, f"agent {agent!r}: {problem}") from None
            except (MisfitError, TypeError, ValueError) as problem:
                what = f"the observation of agent {agent!r} is not in the observation space: {problem}"
                raise self._wrong(copy, what) from None
        return slots

    def _wrong(self, copy: int, what: str) -> WrongValue:
        where = f"after {counted(self._steps[copy], 'step')} of an episode" if self._steps[copy] else "after its reset"
        return WrongValue(f"copy {copy} of the environment, {where}: {what}; `check` tells more")

    def set_task(self, task: Any) -> None:
        """Tell one after the other."""
        for env in self._envs:
            set_task(env, task)

    def close(self) -> None:
        """Close every copy."""
        for env in self._envs:
            env.close()


class OfAgents:
    """The metrics of an episode of many agents: of a number that several give, the mean over them."""

    def __init__(self) -> None:
        """Begin an episode."""
        self._given: dict[AgentId, dict[Any, Any]] = {}

    def take(self, outcome: Outcome) -> None:
        """Note what the infos of a step have, if anything. Raises NoNumber."""
        for agent, (_, info) in outcome.seen.items():
            if info and KEY in info:
                self._note(agent, info[KEY])
        if outcome.common and KEY in outcome.common:
            self._note(None, outcome.common[KEY])

    def _note(self, whose: AgentId, given: Any) -> None:
        mine = self._given.get(whose)
        if mine is None:
            mine = self._given[whose] = {}
        if type(given) is not dict:
            mine.update(numbers(given))
            return
        for name, value in given.items():
            # What most are, and many agents give many.
            if type(value) is float and value == value and type(name) is str:
                mine[name] = value
            else:
                mine.update(numbers({name: value}))

    def ended(self) -> Metrics:
        """The numbers of an episode that ended."""
        if not self._given:
            return NONE
        values: dict[str, list[float]] = {}
        for name, value in ((name, value) for given in self._given.values() for name, value in given.items()):
            values.setdefault(name, []).append(value)
        self._given = {}
        return {name: statistics.fmean(each) for name, each in values.items()}

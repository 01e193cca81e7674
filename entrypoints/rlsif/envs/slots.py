"""Copies of an environment of many agents, each agent of each copy in a slot: for a policy that all agents share.

A slot is what a copy is for environments of one agent: the policy acts in all slots at once. A slot whose agent has
left, or has not come yet, is not active.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.agents import AgentError, AgentId, ManyAgents, Outcome
from rlsif.envs.metrics import KEY, NONE, Metrics, NoNumber, numbers
from rlsif.envs.progress import PROGRESS, RESETTING
from rlsif.envs.task import set_task
from rlsif.envs.vector import Encoder, Step, WrongValue
from rlsif.policies.actions import ActionAdapter
from rlsif.policies.encoder import MisfitError
from rlsif.policies.masks import MaskError

Array = NDArray[Any]


class Slots:
    """Environments of many agents stepped one after the other, each reset as soon as its episode ends for all."""

    def __init__(
        self, envs: Sequence[ManyAgents], seeds: Sequence[int | None], encoder: Encoder, adapter: ActionAdapter
    ) -> None:
        """Reset them, each with a seed of its own. Raises WrongValue."""
        self._envs, self._encoder, self._adapter = envs, encoder, adapter
        self.agents: Sequence[str] = envs[0].names
        self._place = {agent: number for number, agent in enumerate(envs[0].agents)}
        self._number = len(envs) * len(self.agents)
        self._steps = np.zeros(len(envs), np.int64)
        self._metrics = [OfAgents() for _ in envs]
        # Who acted and waits for what comes of it, while others have their turns; None as long as nobody ever did.
        self.waiting: NDArray[np.bool_] | None = None
        # Who acts next in each copy.
        self._acting: list[Sequence[AgentId]] = [() for _ in envs]
        self.observations, self.active = encoder.empty(self._number), np.zeros(self._number, np.bool_)
        for copy, seed in enumerate(seeds):
            self._begin(copy, seed=seed)

    def step(self, chosen: Array) -> Step:
        """Step every copy by what a policy chose, [slots, ...]."""
        actions = self._adapter.each(chosen)
        next_obs, rewards = self._encoder.empty(self._number), np.zeros(self._number)
        terminated, truncated, there, over = (np.zeros(n, np.bool_) for n in (*[self._number] * 3, len(self._envs)))
        acted, waited = self.active, self.waiting
        self.active = np.zeros(self._number, np.bool_)
        self.observations = next_obs
        self._steps += 1
        for copy, env in enumerate(self._envs):
            outcome = self._stepped(copy, env, actions)
            for slot, agent, seen in self._slots(copy, outcome.seen):
                self._encode(next_obs, slot, agent, *seen)
                there[slot] = True
            for slot, agent, reward in self._slots(copy, outcome.rewards):
                rewards[slot] = self._number_of(reward, slot, agent)
            self._flags(terminated, copy, outcome.terminated)
            self._flags(truncated, copy, outcome.truncated)
            over[copy] = outcome.over
            self._let_act(copy, outcome.acting)
        waiting = (acted if waited is None else acted | waited) & ~(terminated | truncated | self.active)
        if waited is not None or waiting.any():
            self.waiting = waiting
        return self._restarted(Step(next_obs, rewards, terminated, truncated, {}, there, over, waited))

    def _restarted(self, step: Step) -> Step:
        """Begin a new episode in the copies in which one is over."""
        assert step.over is not None
        ended = [int(copy) for copy in np.flatnonzero(step.over)]
        if not ended:
            return step
        self.observations = step.observations.copy()
        metrics = {}
        for copy in ended:
            metrics[copy] = self._ended_with(copy)
            self._steps[copy] = 0
            self._begin(copy)
        return step._replace(metrics=metrics)

    def _begin(self, copy: int, **how: Any) -> None:
        """Reset a copy; a simulator may take long to begin an episode."""
        before, PROGRESS.doing = PROGRESS.doing, RESETTING
        try:
            outcome = self._envs[copy].reset(**how)
        except AgentError as problem:
            raise WrongValue(f"copy {copy} of the environment: {problem}") from None
        PROGRESS.resets += 1
        PROGRESS.doing = before
        for slot, agent, seen in self._slots(copy, outcome.seen):
            self._encode(self.observations, slot, agent, *seen)
        self._let_act(copy, outcome.acting)

    def _stepped(self, copy: int, env: ManyAgents, actions: Sequence[Any]) -> Outcome:
        first = copy * len(self.agents)
        try:
            outcome = env.step({agent: actions[first + self._place[agent]] for agent in self._acting[copy]})
            PROGRESS.steps += 1
            self._metrics[copy].take(outcome)
        except (AgentError, NoNumber) as problem:
            raise self._wrong(copy, str(problem)) from None
        return outcome

    def _slots(self, copy: int, values: Mapping[AgentId, Any]) -> Iterator[tuple[int, AgentId, Any]]:
        """The slots of agents, with them and what they have; names that are none of an agent's are left out."""
        first = copy * len(self.agents)
        for agent, value in values.items():
            place = self._place.get(agent)
            if place is not None:
                yield first + place, agent, value

    def _flags(self, places: NDArray[np.bool_], copy: int, flags: Mapping[AgentId, Any]) -> None:
        for slot, _, flag in self._slots(copy, flags):
            places[slot] = flag

    def _let_act(self, copy: int, acting: Sequence[AgentId]) -> None:
        self._acting[copy] = acting
        first = copy * len(self.agents)
        for agent in acting:
            self.active[first + self._place[agent]] = True

    def _number_of(self, reward: Any, slot: int, agent: AgentId) -> float:
        try:
            number = float(reward)
        except (TypeError, ValueError):
            number = np.nan
        if np.isnan(number):
            what = f"the reward of agent {agent!r} is {reward!r}, which is no number"
            raise self._wrong(slot // len(self.agents), what)
        return number

    def _ended_with(self, copy: int) -> Metrics:
        try:
            return self._metrics[copy].ended()
        except NoNumber as problem:
            raise self._wrong(copy, str(problem)) from None

    def _encode(self, places: Array, slot: int, agent: AgentId, observation: Any, info: Mapping[str, Any]) -> None:
        try:
            self._encoder.into(places, slot, observation, info)
        except MaskError as problem:
            raise self._wrong(slot // len(self.agents), f"agent {agent!r}: {problem}") from None
        except (MisfitError, TypeError, ValueError) as problem:
            what = f"the observation of agent {agent!r} is not in the observation space: {problem}"
            raise self._wrong(slot // len(self.agents), what) from None

    def _wrong(self, copy: int, what: str) -> WrongValue:
        where = f"after {self._steps[copy]} steps of an episode" if self._steps[copy] else "after its reset"
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
        self._given.setdefault(whose, {}).update(numbers(given))

    def ended(self) -> Metrics:
        """The numbers of an episode that ended."""
        if not self._given:
            return NONE
        values: dict[str, list[float]] = {}
        for name, value in ((name, value) for given in self._given.values() for name, value in given.items()):
            values.setdefault(name, []).append(value)
        self._given = {}
        return {name: sum(each) / len(each) for name, each in values.items()}

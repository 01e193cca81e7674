"""Environments of many agents behind one interface: PettingZoo's, in which they act together or in turns, and RLlib's.

Neither library is imported here: what an environment is, its methods tell.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence, Set
from typing import Any, NamedTuple

from rlsif.envs import answers
from rlsif.errors import RlsifError

AgentId = Hashable
# What ends an episode for all, among the flags of RLlib's environments, and an info of all.
ALL, COMMON = "__all__", "__common__"
PARALLEL = "PettingZoo's parallel step returns observations, rewards, terminations, truncations and infos"
RLLIB = "RLlib's step returns observations, rewards, terminateds, truncateds and infos"


class AgentError(RlsifError):
    """An environment did with its agents what its interface does not have. Says which agent, and what."""


class Outcome(NamedTuple):
    """What a step gave, by agent.

    `seen` has observation and info of each agent that was told something. Those who acted before and neither act next
    nor have ended wait for their turn; their rewards until then belong to the action that they took.
    """

    seen: Mapping[AgentId, tuple[Any, Mapping[str, Any]]]
    rewards: Mapping[AgentId, Any]
    terminated: Mapping[AgentId, Any]
    truncated: Mapping[AgentId, Any]
    # Who acts in the next step; nobody where the episode has ended.
    acting: Sequence[AgentId]
    # An info that belongs to no agent.
    common: Mapping[str, Any] = {}

    @property
    def over(self) -> bool:
        """Whether the episode has ended, for all agents."""
        return not self.acting


class ManyAgents:
    """An environment of many agents, in the order of its `possible_agents`."""

    def __init__(self, env: Any, limit: int | None = None) -> None:
        """Take an environment; `limit` is the steps after which an episode is truncated. Raises AgentError."""
        self.env, self.limit, self._steps = env, limit, 0
        possible = getattr(env, "possible_agents", None) or ()
        # A set has another order in each process.
        self.agents: tuple[AgentId, ...] = tuple(sorted(possible, key=str) if isinstance(possible, Set) else possible)
        if not self.agents:
            raise AgentError(
                "it has no possible_agents; set them in __init__, as the list of all agents that may appear"
            )
        _check_names(self.agents)
        self._possible = frozenset(self.agents)
        self._ended: set[AgentId] = set()
        # Who has acted, and what came of it is not known yet.
        self._open: set[AgentId] = set()
        if hasattr(self.unwrapped, "set_task"):
            self.set_task = self.unwrapped.set_task

    @property
    def unwrapped(self) -> Any:
        """The innermost environment."""
        return getattr(self.env, "unwrapped", self.env)

    @property
    def metadata(self) -> Mapping[str, Any]:
        """As the environment's; empty where it has none."""
        return getattr(self.env, "metadata", None) or {}

    @property
    def names(self) -> tuple[str, ...]:
        """The agents, for people."""
        return tuple(map(str, self.agents))

    def observation_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        raise NotImplementedError

    def action_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        raise NotImplementedError

    def reset(self, seed: int | None = None) -> Outcome:
        """Begin an episode. Raises AgentError."""
        self._steps, self._ended, self._open = 0, set(), set()
        outcome = self._reset(seed)
        if outcome.over:
            raise AgentError("nobody has an observation after its reset; one agent at least must act")
        self._check(outcome)
        return outcome

    def step(self, actions: Mapping[AgentId, Any]) -> Outcome:
        """Step by the actions of those who act. Raises AgentError."""
        self._steps += 1
        outcome = self._step(dict(actions))
        self._open.update(actions)
        if self._steps == self.limit and not outcome.over:
            seen = {**self._waiting_see(), **outcome.seen}
            outcome = outcome._replace(seen=seen, acting=(), truncated=dict.fromkeys(self.agents, True))
        outcome = self._settled(outcome)
        self._check(outcome)
        return outcome

    def _settled(self, outcome: Outcome) -> Outcome:
        """The outcome with the ends and the rewards of those whose action is open, and no others'."""
        seen, rewards, flags, truncated, acting, common = outcome
        whose = self._open.union(acting)
        if not seen.keys() <= whose:
            # Some environments still tell those who have left.
            seen = {agent: told for agent, told in seen.items() if agent in whose}
        if not rewards.keys() <= self._open:
            rewards = {agent: reward for agent, reward in rewards.items() if agent in self._open}
        if acting and not any(flags.values()) and not any(truncated.values()):
            # Nobody has ended: by far the most usual.
            terminated = truncated = dict.fromkeys(self._open, False)
        else:
            cut = {agent for agent in self._open if _has_ended(truncated, agent, "truncated")}
            # What ended without an observation is worth nothing, as RLlib has it.
            lost = {agent for agent in self._open if (agent not in seen if agent in cut else not acting)}
            terminated = {agent: _has_ended(flags, agent, "terminated") or agent in lost for agent in self._open}
            truncated = {agent: agent in cut for agent in self._open}
            ended = {agent for agent in self._open if terminated[agent] or truncated[agent]}
            self._ended |= ended
            self._open -= ended
        self._open.difference_update(acting)
        return Outcome(seen, rewards, terminated, truncated, acting, common)

    def render(self) -> Any:
        """As the environment's."""
        return self.env.render()

    def close(self) -> None:
        """Close the environment, where it has something to close."""
        if hasattr(self.env, "close"):
            self.env.close()

    def _reset(self, seed: int | None) -> Outcome:
        raise NotImplementedError

    def _step(self, actions: dict[AgentId, Any]) -> Outcome:
        raise NotImplementedError

    def _waiting_see(self) -> Mapping[AgentId, tuple[Any, Mapping[str, Any]]]:
        """What those see who wait for their turn, where that can be asked."""
        return {}

    def _check(self, outcome: Outcome) -> None:
        acting = frozenset(outcome.acting)
        if acting <= self._possible and acting <= outcome.seen.keys() and acting.isdisjoint(self._ended):
            return
        for agent in outcome.acting:
            if agent in self._ended:
                raise AgentError(
                    f"agent {agent!r} has ended, and is to act after step {self._steps};"
                    " one that has ended stays away until the next reset"
                )
            if agent not in self._possible:
                raise AgentError(f"agent {agent!r} is not among its possible_agents, {self._some_agents()}")
            if agent not in outcome.seen:
                raise AgentError(f"agent {agent!r} is to act and has no observation after step {self._steps}")

    def _some_agents(self) -> str:
        more = ", ..." if len(self.agents) > 4 else ""
        return ", ".join(map(repr, self.agents[:4])) + more


class OfPettingZoo(ManyAgents):
    """A parallel environment of PettingZoo's."""

    def observation_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        return _space(self.env.observation_space, agent)

    def action_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        return _space(self.env.action_space, agent)

    def _reset(self, seed: int | None) -> Outcome:
        observations, infos = _parts(self.env.reset(seed=seed), 2, "reset", "(observations, infos)")
        return Outcome(_seen(observations, infos), {}, {}, {}, tuple(self.env.agents or ()))

    def _step(self, actions: dict[AgentId, Any]) -> Outcome:
        observations, rewards, terminated, truncated, infos = _parts(self.env.step(actions), 5, "step", PARALLEL)
        acting = tuple(self.env.agents or ())
        # Whoever is not there any more has ended, whether that was said or not.
        gone = {a: True for a in actions.keys() - set(acting) if not (terminated.get(a) or truncated.get(a))}
        ended = {**terminated, **gone} if gone else terminated
        return Outcome(_seen(observations, infos), rewards, ended, truncated, acting, infos.get(COMMON) or {})


class OfConverted(OfPettingZoo):
    """An AEC environment that says that its agents act one after the other in a cycle, and so can act together."""

    def __init__(self, env: Any, limit: int | None = None) -> None:
        """Take an AEC environment. Raises AgentError."""
        from pettingzoo.utils.conversions import aec_to_parallel

        _stop_where_nobody_is_removed(env)
        super().__init__(aec_to_parallel(env), limit)

    def _step(self, actions: dict[AgentId, Any]) -> Outcome:
        try:
            return super()._step(actions)
        except AssertionError as problem:
            if not str(problem).startswith("expected agent"):
                raise
            raise AgentError(
                f"its agents do not act in a cycle ({str(problem).partition('.')[0].partition(',')[0]}), so it must not"
                " say is_parallelizable in its metadata"
            ) from None


class OfTurns(ManyAgents):
    """An AEC environment of PettingZoo's: one agent acts after the other."""

    def observation_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        return _space(self.env.observation_space, agent)

    def action_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        return _space(self.env.action_space, agent)

    def _reset(self, seed: int | None) -> Outcome:
        self.env.reset(seed=seed)
        return self._outcome({}, {}, {}, {})

    def _step(self, actions: dict[AgentId, Any]) -> Outcome:
        env = self.env
        [action] = actions.values()
        env.step(action)
        told = dict(env.rewards), dict(env.terminations), dict(env.truncations)
        ended = [agent for agent in env.agents if told[1].get(agent) or told[2].get(agent)]
        seen = {agent: self._told(agent) for agent in ended}
        # PettingZoo has whoever ended step once more, by no action, after which it is none of the agents.
        for _ in tuple(env.agents):
            if not self._has_selected_ended():
                break
            env.step(None)
        if self._has_selected_ended():
            raise _is_still_there(env.agent_selection)
        return self._outcome(seen, *told)

    def _has_selected_ended(self) -> bool:
        env = self.env
        return bool(env.agents) and bool(env.terminations[env.agent_selection] or env.truncations[env.agent_selection])

    def _outcome(
        self,
        seen: dict[AgentId, tuple[Any, Mapping[str, Any]]],
        rewards: Mapping[AgentId, Any],
        terminated: Mapping[AgentId, Any],
        truncated: Mapping[AgentId, Any],
    ) -> Outcome:
        acting = (self.env.agent_selection,) if self.env.agents else ()
        seen = {**seen, **{agent: self._told(agent) for agent in acting}}
        return Outcome(seen, rewards, terminated, truncated, acting)

    def _waiting_see(self) -> Mapping[AgentId, tuple[Any, Mapping[str, Any]]]:
        return {agent: self._told(agent) for agent in self._open.intersection(self.env.agents)}

    def _told(self, agent: AgentId) -> tuple[Any, Mapping[str, Any]]:
        return self.env.observe(agent), self.env.infos.get(agent) or {}


class OfRLlib(ManyAgents):
    """A MultiAgentEnv of RLlib's: who has an observation acts next."""

    def observation_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        return _space(self.env.get_observation_space, agent)

    def action_space(self, agent: AgentId) -> Any:
        """Of one agent; None where it has none."""
        return _space(self.env.get_action_space, agent)

    def _reset(self, seed: int | None) -> Outcome:
        observations, infos = _parts(self.env.reset(seed=seed), 2, "reset", "(observations, infos)")
        return Outcome(_seen(observations, infos), {}, {}, {}, tuple(observations))

    def _step(self, actions: dict[AgentId, Any]) -> Outcome:
        observations, rewards, terminated, truncated, infos = _parts(self.env.step(actions), 5, "step", RLLIB)
        for name, flags in (("terminateds", terminated), ("truncateds", truncated)):
            if ALL not in flags:
                raise AgentError(f'there is no "{ALL}" in the {name} of a step; it says whether all agents have ended')
        over = terminated[ALL] or truncated[ALL]
        # As RLlib's sampler takes it: what holds for all holds for each.
        ended = _for_all(terminated, self.agents), _for_all(truncated, self.agents)
        acting = () if over else tuple(a for a in observations if not (ended[0].get(a) or ended[1].get(a)))
        if not (over or acting):
            raise AgentError(
                f'nobody has an observation to act on after step {self._steps}, and "{ALL}" does not say that all'
                " have ended"
            )
        return Outcome(_seen(observations, infos), rewards, *ended, acting, infos.get(COMMON) or {})


def _check_names(agents: Sequence[AgentId]) -> None:
    """Refuse agents that have one name, which is their text. Raises AgentError."""
    first: dict[str, AgentId] = {}
    for agent in agents:
        if str(agent) in first:
            other = first[str(agent)]
            what = f"{agent!r} twice" if other == agent else f"{other!r} and {agent!r}, which are one text"
            raise AgentError(f"its possible_agents have {what}; each agent needs a name of its own")
        first[str(agent)] = agent


def _has_ended(flags: Mapping[AgentId, Any], agent: AgentId, name: str) -> bool:
    """Whether flags say it of an agent; most say nothing of some. Raises AgentError for what is no flag."""
    try:
        return bool(flags.get(agent)) and answers.ended(flags[agent], f"{name} of agent {agent!r}")
    except answers.NoEnd as problem:
        raise AgentError(str(problem)) from None


def _for_all(flags: Mapping[AgentId, Any], agents: Sequence[AgentId]) -> Mapping[AgentId, Any]:
    """Flags by agent, without that of all."""
    return dict.fromkeys(agents, True) if flags[ALL] else {a: flag for a, flag in flags.items() if a != ALL}


def _seen(
    observations: Mapping[AgentId, Any], infos: Mapping[AgentId, Any]
) -> dict[AgentId, tuple[Any, Mapping[str, Any]]]:
    return {agent: (observation, infos.get(agent) or {}) for agent, observation in observations.items()}


def _parts(given: Any, number: int, method: str, right: str) -> Any:
    """What a method gave, of so many mappings. Raises AgentError."""
    if not isinstance(given, tuple) or len(given) != number:
        kind = f"{len(given)} values" if isinstance(given, tuple) else f"one {type(given).__name__}"
        raise AgentError(f"its {method} returned {kind}; {right}")
    # What most are is found in the least time.
    wrong = [type(part).__name__ for part in given if type(part) is not dict and not isinstance(part, Mapping)]
    if wrong:
        raise AgentError(f"its {method} returned a {wrong[0]}; {right}, each a dictionary by agent")
    return given


def _space(get: Any, agent: AgentId) -> Any:
    """The space of an agent; None where the environment knows none."""
    try:
        return get(agent)
    except (KeyError, AttributeError, TypeError):
        return None


def agents_of(env: Any) -> tuple[AgentId, ...]:
    """The agents of an environment that is one of many, or stands for one in another process; none of others."""
    agents: tuple[AgentId, ...] = env.agents if isinstance(env, ManyAgents) else getattr(env, "drawn_agents", ())
    return agents


def is_rllibs(env: Any) -> bool:
    """Whether an environment, or a class of such, is a MultiAgentEnv of RLlib's, or wraps one."""
    return _derives_from(env, "MultiAgentEnv", "ray.")


def is_pettingzoos(env: Any) -> bool:
    """Whether an environment, or a class of such, derives from one of PettingZoo's classes."""
    return any(_derives_from(env, name, "pettingzoo.") for name in ("ParallelEnv", "AECEnv"))


def is_taken(env: Any) -> bool:
    """Whether an object is an environment of many agents."""
    return is_rllibs(env) or is_turn_based(env) or (hasattr(env, "possible_agents") and _has_spaces(env))


def is_class(found: Any) -> bool:
    """Whether something is a class of environments of many agents, by what it derives from or by its methods."""
    if not isinstance(found, type):
        return False
    return is_rllibs(found) or is_pettingzoos(found) or (_has_spaces(found) and callable(getattr(found, "step", None)))


def is_turn_based(env: Any) -> bool:
    """Whether an environment is of PettingZoo's other interface, AEC, in which agents act one after the other."""
    return hasattr(env, "agent_iter") and hasattr(env, "last")


def adapted(env: Any, limit: int | None) -> ManyAgents:
    """An environment of either library behind our interface. Raises AgentError for one that cannot be."""
    if is_rllibs(env):
        return OfRLlib(env, limit)
    if not is_turn_based(env):
        return OfPettingZoo(env, limit)
    if not (getattr(env, "metadata", None) or {}).get("is_parallelizable"):
        return OfTurns(env, limit)
    return OfConverted(env, limit)


def _stop_where_nobody_is_removed(env: Any) -> None:
    """Have steps by no action raise AgentError where they change nothing; PettingZoo would make them without end."""
    step, in_a_row = env.step, 0

    def counted(action: Any) -> None:
        nonlocal in_a_row
        in_a_row = in_a_row + 1 if action is None else 0
        if in_a_row > len(env.possible_agents):
            raise _is_still_there(env.agent_selection)
        step(action)

    env.step = counted


def _is_still_there(agent: AgentId) -> AgentError:
    return AgentError(
        f"agent {agent!r} has ended, and is in agents still after its step by no action; that step must remove it, as"
        " _was_dead_step of PettingZoo's AECEnv does"
    )


def _has_spaces(env: Any) -> bool:
    return callable(getattr(env, "observation_space", None)) and callable(getattr(env, "action_space", None))


def _derives_from(env: Any, name: str, library: str) -> bool:
    mine = env if isinstance(env, type) else type(env)
    return any(base.__name__ == name and base.__module__.startswith(library) for base in mine.__mro__)

"""Environments of many agents by their names, and a first look at one: the spaces that its agents share."""

from __future__ import annotations

import contextlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from rlsif.envs import agents
from rlsif.envs.agents import AgentError, ManyAgents, Outcome
from rlsif.envs.code import module_at
from rlsif.envs.legal import random_action_of
from rlsif.envs.old_gym import takes_a_seed
from rlsif.envs.reference import EnvRef
from rlsif.envs.spaces import plain
from rlsif.errors import InputError, near
from rlsif.packages import EXTRA_OF, building
from rlsif.policies import masks
from rlsif.policies.spaces import described

# Packages of PettingZoo that have become others, with the same environments.
MOVED = {"pettingzoo.mpe": "mpe2"}
# What makes the environment of a module, as PettingZoo's have it; the first that is there.
MAKERS = ("parallel_env", "env")


def dotted(env_id: str) -> Any:
    """The module that a name like `mpe2.simple_spread_v3` means; None for what is no such name. Raises InputError."""
    package, _, name = env_id.rpartition(".")
    top = package.partition(".")[0]
    if not (package and all(part.isidentifier() for part in env_id.split("."))) or not _is_there(top):
        return None
    return in_package(module_at(MOVED.get(package, package), f"environment {env_id!r}"), name, env_id)


def place_of(place: str, env_id: str) -> str:
    """Where the environments of a module are now. Raises InputError where its package is not installed."""
    place = MOVED.get(place, place)
    top = place.partition(".")[0]
    if top in EXTRA_OF and not _is_there(top):
        raise InputError(f"environment {env_id!r} needs a package that is not installed: {top}; {building(top)}")
    return place


def has_like(package: ModuleType, name: str) -> bool:
    """Whether a package has a module of that name, or one that may be meant."""
    return _is_there(f"{package.__name__}.{name}") or bool(near(name, _modules(package)))


def in_package(package: ModuleType, name: str, env_id: str) -> Any:
    """The module of that name inside a package. Raises InputError where it has none."""
    found = f"{package.__name__}.{name}"
    if not _is_there(found):
        hint = near(name, _modules(package))
        raise InputError(f"environment {env_id!r}: {package.__name__} has no module {name}{hint}")
    try:
        return import_module(found)
    except (Exception, SystemExit) as problem:
        raise InputError(f"environment {env_id!r}: module {found!r} cannot be imported: {problem}") from problem


def maker_of(module: Any, env_id: str) -> Callable[..., Any]:
    """What makes the environment of a module. Raises InputError where there is no such thing."""
    for name in MAKERS:
        if callable(getattr(module, name, None)):
            made: Callable[..., Any] = getattr(module, name)
            return made
    raise InputError(f"environment {env_id!r}: module {module.__name__} has neither parallel_env nor env")


def is_module(found: Any) -> bool:
    """Whether something is a module, or stands for one as PettingZoo's do for old versions."""
    return isinstance(found, ModuleType) or (not callable(found) and hasattr(found, MAKERS[0]))


def _modules(package: ModuleType) -> list[str]:
    return [each.name for each in pkgutil.iter_modules(getattr(package, "__path__", []))]


def _is_there(module: str) -> bool:
    with contextlib.suppress(ImportError, ValueError):
        return importlib.util.find_spec(module) is not None
    return False


def adapted(ref: EnvRef, env: Any, limit: int | None) -> ManyAgents:
    """The environment behind our interface. Raises InputError."""
    with _told_of(ref):
        return agents.adapted(env, limit)


@contextlib.contextmanager
def _told_of(ref: EnvRef) -> Any:
    try:
        yield
    except AgentError as problem:
        raise InputError(f"environment {ref.name!r}: {problem}") from problem


def spaces_by_policy(ref: EnvRef, env: ManyAgents, policies: Mapping[str, str]) -> dict[str, tuple[Any, Any]]:
    """The spaces of observations and actions that all agents of a policy have, by its name.

    `policies` has the policy of each agent. Raises InputError where agents of one have others.
    """
    first: dict[str, tuple[agents.AgentId, tuple[Any, Any]]] = {}
    for agent in env.agents:
        spaces, policy = _spaces_of(ref, env, agent), policies[str(agent)]
        other, shared = first.setdefault(policy, (agent, spaces))
        if spaces != shared:
            alone = len(set(policies.values())) == 1
            fix = "or give each agent its own by --policies each" if alone else f"or give {policy!r} to one kind alone"
            raise InputError(
                f"environment {ref.name!r} has agents with different spaces: {_in_words(other, shared)},"
                f" {_in_words(agent, spaces)}; one policy for all of them needs equal ones, so pad them to one shape,"
                f" {fix}"
            )
    return {policy: spaces for policy, (_, spaces) in first.items()}


def _spaces_of(ref: EnvRef, env: ManyAgents, agent: agents.AgentId) -> tuple[Any, Any]:
    import gymnasium

    spaces = env.observation_space(agent), env.action_space(agent)
    for name, space in zip(("observation_space", "action_space"), spaces):
        if not isinstance(space, gymnasium.Space):
            method = f"get_{name}" if isinstance(env, agents.OfRLlib) else name
            raise InputError(
                f"environment {ref.name!r}: its agent {agent!r} has no {name}; {method}({agent!r}) gave {space!r},"
                " and must give a space of Gymnasium's"
            )
    return spaces


def _in_words(agent: agents.AgentId, spaces: tuple[Any, Any]) -> str:
    observations, actions = map(plain, spaces)
    return f"{agent!r} has observations {described(observations)} and actions {described(actions)}"


def first_infos(
    ref: EnvRef, env: ManyAgents, policies: Mapping[str, str], spaces: Mapping[str, tuple[Any, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The first info of an agent of each policy, after a reset and some steps.

    What an environment raises itself is told by the run. Raises InputError for what is not the interface.
    """
    if not takes_a_seed(env.env):
        raise InputError(
            f"environment {ref.name!r}: its reset takes no seed; it must be reset(seed=None, options=None)"
        )
    infos: dict[str, Mapping[str, Any]] = {}
    with _told_of(ref):
        try:
            outcome = env.reset(seed=0)
            # In turns others are told something later.
            for _ in range(max(1, 2 * len(env.agents) if len(spaces) > 1 else 1)):
                _note(infos, policies, outcome)
                outcome = env.step(_actions(ref, outcome, policies, spaces, infos))
                _note(infos, policies, outcome)
                if outcome.over or len(infos) == len(spaces):
                    break
        except AgentError:
            raise
        except (Exception, SystemExit):
            pass
    return infos


def _note(infos: dict[str, Mapping[str, Any]], policies: Mapping[str, str], outcome: Outcome) -> None:
    for agent in outcome.acting:
        infos.setdefault(policies[str(agent)], outcome.seen[agent][1])


def _actions(
    ref: EnvRef,
    outcome: Outcome,
    policies: Mapping[str, str],
    spaces: Mapping[str, tuple[Any, Any]],
    infos: Mapping[str, Mapping[str, Any]],
) -> dict[agents.AgentId, Any]:
    """Any legal action of each agent that acts next."""
    chosen = {}
    for agent in outcome.acting:
        observations, actions = spaces[policies[str(agent)]]
        mask = masks.find(plain(observations), plain(actions), infos[policies[str(agent)]])
        chosen[agent] = random_action_of(actions, mask, *outcome.seen[agent], ref.name)
    return chosen

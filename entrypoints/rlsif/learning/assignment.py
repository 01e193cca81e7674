"""Which policy acts for which agent, as `--policies` says it: one for all, one each, by a YAML file or a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from rlsif.envs.code import module_at
from rlsif.envs.find import ONE, Assign
from rlsif.envs.reference import absolute
from rlsif.errors import InputError, near
from rlsif.learning.spec import ManyPolicies
from rlsif.values import of_yaml_file

# One policy for all agents, one for each of them.
SHARED, EACH = "shared", "each"
# TensorFlow's names of variables begin with that of their policy, and a folder of each checkpoint has it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
AS = "--policies takes shared, each, a YAML file as roles.yaml, or a function as mine.py:mapping"


def told(given: str) -> str:
    """What was given to `--policies`, with the path of a file made absolute. Raises InputError."""
    if given in (SHARED, EACH):
        return given
    if _is_yaml(given):
        return str(Path(given).expanduser().absolute())
    place, _, name = given.rpartition(":")
    if not (place and name):
        raise InputError(f"--policies is {given!r}{near(given, (SHARED, EACH))}; {AS}")
    return absolute(given)


def by_option(given: str) -> Assign | None:
    """The policy of each agent by `--policies`, which gave `told`; None where all agents share one."""
    if given == SHARED:
        return None
    wanted_by = f"--policies {given}"

    def assign(agents: Sequence[Hashable]) -> dict[str, str]:
        if not agents:
            raise InputError(f"{wanted_by} is for environments of many agents, and this one has one; leave it out")
        return _complete(_by_option(given, agents, wanted_by), wanted_by)

    return assign


def of_run(policies: ManyPolicies | None) -> Assign | None:
    """The same as a run has it."""
    if policies is None:
        return None
    has = policies.of_agents

    def assign(agents: Sequence[Hashable]) -> dict[str, str]:
        return _complete({str(agent): has.get(str(agent)) for agent in agents}, "the policies of the run")

    return assign


def each(agents: Sequence[Hashable]) -> dict[str, str]:
    """A policy for each agent, of its name."""
    return {str(agent): str(agent) for agent in agents}


def _complete(policies: Mapping[str, Any], wanted_by: str) -> dict[str, str]:
    without = [name for name, policy in policies.items() if policy is None]
    if without:
        raise InputError(
            f"{wanted_by}: agent {without[0]!r} has no policy; every agent needs one: {', '.join(policies)}"
        )
    return {name: _checked(policy, name, wanted_by) for name, policy in policies.items()}


def check_trained(given: Sequence[str], policies: Sequence[str]) -> None:
    """Refuse names of policies that are to learn and are none. Raises InputError."""
    if given and list(policies) == [ONE]:
        raise InputError(
            f"--train-policies {','.join(given)} says which of several policies learn, and all agents share one;"
            " give them several by --policies each"
        )
    for name in given:
        if name not in policies:
            raise InputError(
                f"--train-policies: {name!r} is none of the policies, {', '.join(policies)}{near(name, policies)}"
            )


def names_in(given: str | None) -> tuple[str, ...]:
    """The names in a list with commas. Raises InputError for one that is empty."""
    if given is None:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    if not names:
        raise InputError(f"--train-policies is {given!r}; it must name policies that learn, as in hunter,prey")
    return names


def _by_option(given: str, agents: Sequence[Hashable], wanted_by: str) -> dict[str, Any]:
    if given == EACH:
        return each(agents)
    if _is_yaml(given):
        patterns = of_yaml_file(Path(given), "--policies", "adversary_*: hunter")
        return _by_patterns(patterns, list(map(str, agents)), wanted_by)
    mapping = _function(given, wanted_by)
    return {str(agent): _answer(mapping, agent, wanted_by) for agent in agents}


def _by_patterns(patterns: Mapping[str, Any], names: Sequence[str], wanted_by: str) -> dict[str, Any]:
    """By an agent's own name, else by the first pattern that it matches. Raises InputError for a pattern of nobody."""
    for pattern in patterns:
        # A name may have brackets, which mean others in a pattern.
        if pattern not in names and not any(fnmatchcase(name, pattern) for name in names):
            hint = near(pattern, names)
            raise InputError(f"{wanted_by}: no agent is called {pattern!r}; there are {', '.join(names)}{hint}")
    return {name: _of_patterns(patterns, name) for name in names}


def _of_patterns(patterns: Mapping[str, Any], name: str) -> Any:
    if name in patterns:
        return patterns[name]
    return next((policy for pattern, policy in patterns.items() if fnmatchcase(name, pattern)), None)


def _function(given: str, wanted_by: str) -> Callable[[Hashable], Any]:
    place, _, name = given.rpartition(":")
    module = module_at(place, wanted_by)
    found = getattr(module, name, None)
    if not callable(found):
        raise InputError(f"{wanted_by}: {module.__file__} has no function {name}{near(name, vars(module))}")
    function: Callable[[Hashable], Any] = found
    return function


def _answer(mapping: Callable[[Hashable], Any], agent: Hashable, wanted_by: str) -> Any:
    try:
        policy = mapping(agent)
    except (Exception, SystemExit) as problem:
        said = f"{type(problem).__name__}: {problem}"
        raise InputError(
            f"{wanted_by}: it raised {said} for agent {agent!r}; it is called with an agent's name"
        ) from problem
    if not isinstance(policy, str):
        raise InputError(f"{wanted_by}: it gave {policy!r} for agent {agent!r}; it must give the name of a policy")
    return policy


def _checked(policy: Any, agent: str, wanted_by: str) -> str:
    if not isinstance(policy, str):
        quoted = f"; in quotes it is one: '{policy}'" if isinstance(policy, (int, float)) else ""
        raise InputError(
            f"{wanted_by}: the policy of agent {agent!r} is {policy!r}, which is no text; it must be a name{quoted}"
        )
    if not NAME.fullmatch(policy):
        raise InputError(
            f"{wanted_by}: the policy of agent {agent!r} is {policy!r}; its name must have letters, digits, _, . and -"
            " alone, and begin with a letter or digit"
        )
    return policy


def _is_yaml(given: str) -> bool:
    return given.endswith((".yaml", ".yml"))

"""The wrappers that `--wrap` names, Gymnasium's and the user's own, around an environment in every process of a run."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

from rlsif.envs.code import classes_of, module_at
from rlsif.envs.reference import WrapperRef
from rlsif.errors import InputError, near

# What they learn from the steps that they see would be lost with their process.
NOT_IN_CHECKPOINTS = {
    "NormalizeObservation": "--set observation_filter=MeanStdFilter does the same, and keeps them",
    "NormalizeReward": "--normalize-rewards does the same, and keeps them",
}
INSTALL = "`packages add` installs packages beside the code"


def wrapped(env: Any, wrappers: Sequence[WrapperRef]) -> Any:
    """The environment in these wrappers, the first one innermost. Raises InputError for one that cannot be."""
    for wrapper in wrappers:
        env = _wrapped(env, wrapper)
    return env


def check_reset(env: Any, wrappers: Sequence[WrapperRef]) -> None:
    """Begin an episode through the wrappers; many fail only there. Raises InputError."""
    try:
        env.unwrapped.reset(seed=0)
    except (Exception, SystemExit):
        # What an environment raises itself is told by the run.
        return
    try:
        env.reset(seed=0)
    except Exception as problem:
        names = ", ".join(map(str, wrappers))
        raise InputError(f"--wrap {names}: the wrapped environment's reset fails: {_kind(problem)}") from problem


def _kind(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split()).rstrip(": ")


def _wrapped(env: Any, wrapper: WrapperRef) -> Any:
    import gymnasium

    create = _class(wrapper)
    try:
        found = create(env, **wrapper.arguments)
    except gymnasium.error.DependencyNotInstalled as problem:
        lacking = str(problem).partition(", run ")[0]
        raise InputError(f"--wrap {wrapper}: {lacking}; {INSTALL}") from problem
    except Exception as problem:
        raise InputError(f"--wrap {wrapper} cannot be made: {_said(create, problem)}") from problem
    if not isinstance(found, gymnasium.Env):
        raise InputError(f"--wrap {wrapper} gave a {type(found).__name__}, which is no gymnasium.Env")
    for name in ("observation_space", "action_space"):
        space = getattr(found, name, None)
        if not isinstance(space, gymnasium.Space):
            raise InputError(f"--wrap {wrapper}: its {name} is {space!r}, which is no space of Gymnasium's")
    return found


def _said(create: Any, problem: Exception) -> str:
    """What it raised, and for wrong arguments what it takes."""
    if not isinstance(problem, (TypeError, AssertionError)):
        return _kind(problem)
    takes = [str(p).partition(":")[0] for p in list(inspect.signature(create).parameters.values())[1:]]
    return f"{_kind(problem)}; it takes {', '.join(takes) or 'no arguments'}"


def _class(wrapper: WrapperRef) -> Any:
    """What makes the wrapper when it is called with an environment. Raises InputError."""
    module = module_at(wrapper.place, f"--wrap {wrapper}") if wrapper.place else None
    found = _of_gymnasium(wrapper) if module is None else _of_the_user(wrapper, module)
    if found.__module__.startswith("gymnasium.") and found.__name__ in NOT_IN_CHECKPOINTS:
        why = NOT_IN_CHECKPOINTS[found.__name__]
        raise InputError(f"--wrap {wrapper} has running averages, which no checkpoint would keep; {why}")
    return found


def _of_gymnasium(wrapper: WrapperRef) -> Any:
    from gymnasium import wrappers

    # Not by looking at each: some import packages that are not there.
    there = [name for name in wrappers.__all__ if name[0].isupper()]
    if wrapper.name not in there:
        raise InputError(
            f"--wrap {wrapper}: Gymnasium has no wrapper {wrapper.name}{near(wrapper.name, there)};"
            " one of your own is mine.py:Wrapper, with arguments mine.py:Wrapper:scale=2"
        )
    try:
        return getattr(wrappers, wrapper.name)
    except ImportError as problem:
        raise InputError(f"--wrap {wrapper} needs a package: {problem}; {INSTALL}") from problem


def _of_the_user(wrapper: WrapperRef, module: Any) -> Any:
    import gymnasium

    found = getattr(module, wrapper.short, None)
    if found is None:
        has = classes_of(module, gymnasium.Wrapper)
        there = f"it has {', '.join(has)}" if has else "it has no class derived from gymnasium.Wrapper"
        raise InputError(f"--wrap {wrapper}: {module.__file__} has no {wrapper.short}; {there}")
    if not callable(found) or (inspect.isclass(found) and not issubclass(found, gymnasium.Wrapper)):
        raise InputError(f"--wrap {wrapper}: {wrapper.short} is no class derived from gymnasium.Wrapper")
    return found

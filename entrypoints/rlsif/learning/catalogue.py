"""The algorithms of RLlib that work with TensorFlow, each by its descriptor.

RLlib has TensorFlow on its old API stack only. What is listed here trains, saves, restores and resumes; what is known
not to is refused before anything starts. Needs neither RLlib nor TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules

from rlsif.errors import InputError, near
from rlsif.learning import algorithms
from rlsif.learning.descriptor import Algorithm
from rlsif.policies import actions, encoder
from rlsif.policies.spaces import Box, Composite, Discrete, Masked, MultiDiscrete, Space, kind

# What `--algo` is unless it is given.
DEFAULT = "PPO"
FRAMEWORKS = ("tf", "tf2")
# What policies choose from, as users read it.
CHOICES: Mapping[type, str] = {Discrete: "Discrete", MultiDiscrete: "MultiDiscrete", Box: "Box", Composite: "mixed"}


def catalogue() -> dict[str, Algorithm]:
    """Every algorithm by its name; one file of `learning/algorithms` has one."""
    modules = [import_module(f"{algorithms.__name__}.{module.name}") for module in iter_modules(algorithms.__path__)]
    known: list[Algorithm] = [module.ALGORITHM for module in modules]
    found = sorted(known, key=lambda a: (a.name != DEFAULT, a.offline))
    return {algorithm.name: algorithm for algorithm in found}


def find(name: str, framework: str) -> Algorithm:
    """The algorithm of that name, in any case, if it works with the framework. Raises InputError."""
    known = catalogue()
    algorithm = known.get(name.upper())
    if algorithm is None:
        raise InputError(f"algorithm {name!r} is not one of {', '.join(known)}{near(name.upper(), known)}")
    if framework not in FRAMEWORKS:
        raise InputError(f"--framework is {framework!r}; it must be tf (graph, faster) or tf2 (eager)")
    if framework not in algorithm.frameworks:
        raise InputError(
            f"{algorithm.name} does not work with --framework {framework} ({algorithm.note}); use --framework tf"
        )
    return algorithm


def able_to_act(space: Space, offline: bool = False) -> list[str]:
    """The names of the algorithms that can choose actions of a space, and sample, or learn from recorded episodes."""
    return [a.name for a in catalogue().values() if a.offline == offline and _can_act(a, space)]


def _can_act(algorithm: Algorithm, space: Space) -> bool:
    return not actions.unsupported(space) and CHOICES[type(actions.policy_space(space))] in algorithm.action_spaces


def check_spaces(algorithm: Algorithm, env: str, observation_space: Space, action_space: Space) -> None:
    """Refuse an environment that the algorithm cannot see or act in. Raises InputError."""
    against = actions.unsupported(action_space) or encoder.unsupported(observation_space)
    if against:
        raise InputError(f"no algorithm here can train in {env}: its {against}")
    if not _can_act(algorithm, action_space):
        able = able_to_act(action_space, algorithm.offline)
        use = f"use --algo {' or '.join(able)}" if able else "no algorithm here can"
        raise InputError(
            f"{algorithm.name} cannot act in {env}: its actions are {kind(action_space)},"
            f" not {' or '.join(algorithm.action_spaces)}; {use}"
        )
    if isinstance(observation_space, Masked):
        _check_mask(algorithm, env, action_space)


def _check_mask(algorithm: Algorithm, env: str, action_space: Space) -> None:
    if algorithm.masked_model is None:
        able = [name for name in able_to_act(action_space) if catalogue()[name].masked_model]
        raise InputError(
            f"{env} says which actions are legal, and {algorithm.name} does not honour action masks;"
            f" use --algo {' or '.join(able)}"
        )


def known_against(algo: str, observation_space: Space) -> str | None:
    """Why RLlib samples whatever the settings are; None where they decide, and a preset's speak for NumPy."""
    if catalogue()[algo].sampler is None:
        return f"{algo} is sampled by RLlib's own"
    return encoder.unsupported(observation_space)

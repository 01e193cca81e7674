"""From the name of an environment to its spaces, with a sentence for every name that is none."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rlsif.errors import InputError, near


@dataclass(frozen=True)
class FoundEnv:
    """An environment that can be made: its id, its spaces, and when Gymnasium calls it solved."""

    id: str
    observation_space: Any
    action_space: Any
    reward_threshold: float | None
    max_episode_steps: int | None


def make(env_id: str, config: dict[str, Any] | None = None) -> Any:
    """Make the environment, importing `module` first for `module:Id`."""
    import gymnasium

    return gymnasium.make(env_id, **(config or {}))


def find(env_id: str, config: dict[str, Any] | None = None) -> FoundEnv:
    """Make the environment once and look at it. Raises InputError for one that cannot be made."""
    import gymnasium
    from gymnasium import error

    # Gymnasium warns of versions on stderr, where our one sentence is to stand alone.
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            _import_module_of(env_id)
            env = make(env_id, config)
        except error.DependencyNotInstalled as problem:
            raise InputError(f"environment {env_id!r} needs a package that is not installed: {problem}") from problem
        except error.Error as problem:
            raise InputError(_unknown(env_id, problem)) from problem
        except TypeError as problem:
            raise InputError(f"environment {env_id!r} cannot be made with {config}: {problem}") from problem
    spec = env.spec or gymnasium.envs.registration.EnvSpec(env_id)
    env.close()
    return FoundEnv(env_id, env.observation_space, env.action_space, spec.reward_threshold, spec.max_episode_steps)


def register(env_id: str, code_folder: str) -> None:
    """Make the environment known to RLlib by this name, in every process of the run.

    `code_folder` is where a process finds the user's own modules. RLlib takes a name with a dot in it
    for a class, and then loses the time limit.
    """
    from ray import tune

    def create(context: Mapping[str, Any]) -> Any:
        add_code_folder(code_folder)
        return make(env_id, dict(context))

    tune.register_env(env_id, create)


def add_code_folder(folder: str) -> None:
    """Let modules be imported from a folder. It comes last, so that none hides a library's."""
    if folder not in sys.path:
        sys.path.append(folder)


def _import_module_of(env_id: str) -> None:
    module = env_id.partition(":")[0] if ":" in env_id else None
    if module is None:
        return
    try:
        importlib.import_module(module)
    except ImportError as problem:
        raise InputError(f"environment {env_id!r}: module {module!r} cannot be imported: {problem}") from problem


def _unknown(env_id: str, problem: Exception) -> str:
    import gymnasium

    if env_id in gymnasium.registry:
        return f"environment {env_id!r} cannot be made: {problem}"
    hint = near(env_id, gymnasium.registry) or "; `python -m gymnasium` lists what there is"
    return f"environment {env_id!r} is not known to Gymnasium{hint}"

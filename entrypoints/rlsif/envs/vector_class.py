"""Environments that are many copies by themselves: classes derived from VectorEnv, ids with a vector entry point."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import concatenate, create_empty_array

from rlsif.envs.reference import EnvRef
from rlsif.errors import InputError

# What Gymnasium calls the end of an episode whose next one began in the same step.
FINAL_OBS, FINAL_INFO = "final_obs", "final_info"


def is_vector_class(located: Any) -> bool:
    """Whether a name stands for a class of many copies."""
    return inspect.isclass(located) and issubclass(located, VectorEnv)


def has_only_copies(located: Any) -> bool:
    """Whether an environment can be made as many copies only."""
    if isinstance(located, str):
        spec = gymnasium.registry.get(located)
        return spec is not None and spec.entry_point is None and spec.vector_entry_point is not None
    return is_vector_class(located)


def copies(ref: EnvRef, located: Any, number: int, **how: Any) -> Any:
    """So many copies, by the class or by the id's vector entry point. Raises InputError for a class that takes none."""
    if "num_envs" in ref.arguments:
        raise InputError(
            f"--env-config num_envs={ref.arguments['num_envs']} is not for an environment that is many copies by"
            " itself; --num-envs-per-env-runner says how many"
        )
    if isinstance(located, str):
        return gymnasium.make_vec(located, number, vectorization_mode="vector_entry_point", **how, **ref.arguments)
    parameters = inspect.signature(located).parameters.values()
    if not any(p.name == "num_envs" or p.kind is p.VAR_KEYWORD for p in parameters):
        raise InputError(
            f"environment {ref.name!r}: {ref.short} is a VectorEnv, and its __init__ takes no num_envs,"
            " the number of copies"
        )
    return located(num_envs=number, **how, **ref.arguments)


def only_copies(ref: EnvRef, located: Any, number: int, **how: Any) -> Any:
    """The same where there is no other way to make it. Raises InputError where it has no autoreset mode."""
    env = copies(ref, located, number, **how)
    if mode_of(env) is None:
        modes = ", ".join(f"AutoresetMode.{mode.name}" for mode in AutoresetMode)
        raise InputError(
            f"environment {ref.name!r}: the metadata of {ref.short} have no autoreset_mode;"
            f" it must be one of {modes}, from gymnasium.vector"
        )
    return env


def mode_of(env: Any) -> AutoresetMode | None:
    """When it begins a new episode; None where it does not say."""
    mode = env.metadata.get("autoreset_mode")
    return mode if isinstance(mode, AutoresetMode) else None


class Single(gymnasium.Env[Any, Any]):
    """One copy of an environment of many, for what steps one: `check`, `evaluate`, wrappers."""

    def __init__(self, env: Any) -> None:
        """Take an environment with one copy."""
        self._env = env
        self.observation_space, self.action_space = env.single_observation_space, env.single_action_space
        self.metadata, self.render_mode = env.metadata, env.render_mode
        # A spec would say that it can be made as any other; what it knows of episodes is kept.
        self.spec = None
        self.reward_threshold = getattr(env.spec or env, "reward_threshold", None)
        self._max_episode_steps = getattr(env.spec, "max_episode_steps", None)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode."""
        # Gymnasium's checker looks at the generator that every environment has; the copies have their own.
        super().reset(seed=seed)
        observations, infos = self._env.reset(seed=seed, options=options)
        return part_of(observations, 0), infos_of(infos, 0)

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step; the end of an episode comes with its own last observation."""
        actions = concatenate(self.action_space, [action], create_empty_array(self.action_space, 1))
        observations, rewards, terminated, truncated, infos = self._env.step(actions)
        done = bool(terminated[0] or truncated[0])
        if done and mode_of(self._env) is AutoresetMode.SAME_STEP and FINAL_OBS in infos:
            observations, infos = infos[FINAL_OBS], infos.get(FINAL_INFO, {})
        return part_of(observations, 0), rewards[0], bool(terminated[0]), bool(truncated[0]), infos_of(infos, 0)

    def render(self) -> Any:
        """What the copy looks like."""
        frames = self._env.render()
        return frames[0] if frames is not None and len(frames) else None

    def set_task(self, task: Any) -> None:
        """Hand a task on."""
        self._env.set_task(task)

    def close(self) -> None:
        """Close it."""
        self._env.close()


def part_of(observations: Any, i: int) -> Any:
    """One copy's part of what all observed: arrays, Dicts and Tuples of them, or an array of objects."""
    if isinstance(observations, Mapping):
        return {name: part_of(value, i) for name, value in observations.items()}
    if isinstance(observations, tuple):
        return tuple(part_of(value, i) for value in observations)
    return observations[i]


def infos_of(infos: Mapping[str, Any], i: int) -> dict[str, Any]:
    """One copy's part of the infos, as Gymnasium puts them together: `_name` says which copies have `name`."""
    found = {}
    for name, value in infos.items():
        says_which = name.startswith("_") and name[1:] in infos
        if says_which or not _there(infos.get(f"_{name}"), i):
            continue
        found[name] = infos_of(value, i) if isinstance(value, Mapping) else value[i] if np.ndim(value) else value
    return found


def _there(which: Any, i: int) -> bool:
    return which is None or bool(which[i])

"""Environments of EnvPool, which steps many copies in C++: `envpool:Ant-v4`."""

from __future__ import annotations

import contextlib
import secrets
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode, VectorEnv

from rlsif.errors import InputError, near, unheard

# The module that has them.
ENVPOOL = "envpool"
# Arguments that are ours to give.
OURS = ("batch_size", "seed", "env_seed", "render_mode")


def class_of(task: str, env_id: str) -> type[Pool]:
    """The class of many copies of a task. Raises InputError for one that EnvPool has not."""
    import envpool

    tasks = envpool.list_all_envs()
    if task not in tasks:
        raise InputError(f"environment {env_id!r} is not known to EnvPool{near(task, tasks)}")
    return type(task, (Pool,), {"task": task, "env_id": env_id})


class Pool(VectorEnv[Any, Any, Any]):
    """Copies of one task of EnvPool's, which has its seeds from the start: a reset with a seed makes them anew."""

    task: ClassVar[str]
    env_id: ClassVar[str]
    _pool: Any = None

    def __init__(self, num_envs: int, render_mode: str | None = None, **arguments: Any) -> None:
        """Take the task's own arguments, as `frame_skip`. Raises InputError for those that are not the user's."""
        self._check(arguments)
        # An env runner has one core.
        self._how = {"num_threads": 1, "render_mode": render_mode, **arguments}
        self.num_envs, self.render_mode = num_envs, render_mode
        self._pool = self._made(secrets.randbits(31))
        if self._pool.config["max_num_players"] > 1:
            raise InputError(f"environment {self.env_id!r} has many players, which are not taken from EnvPool")
        self.single_observation_space, self.single_action_space = self._pool.observation_space, self._pool.action_space
        self.metadata = {**self._pool.metadata, "autoreset_mode": AutoresetMode.NEXT_STEP}
        config = self._pool.spec.config
        self.spec = EnvSpec(
            self.task,
            reward_threshold=getattr(config, "reward_threshold", None),
            max_episode_steps=getattr(config, "max_episode_steps", None),
        )

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode in every copy, each with a seed of its own."""
        if seed is not None:
            self._pool.close()
            self._pool = self._made(seed)
        observations, infos = self._pool.reset()
        return observations, infos

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Step every copy."""
        observations, rewards, terminated, truncated, infos = self._pool.step(actions)
        return observations, rewards, terminated, truncated, infos

    def render(self) -> Any:
        """What the first copy looks like, [1, height, width, 3]."""
        return self._pool.render()

    def close_extras(self, **how: Any) -> None:
        """Close it, if it was made."""
        if self._pool is not None:
            self._pool.close()

    def _made(self, seed: int) -> Any:
        import envpool

        # Copies have this seed and those after it, as 32 bits with a sign.
        first = seed % (2**31 - self.num_envs)
        with _quiet():
            pool = envpool.make_gymnasium(self.task, num_envs=self.num_envs, seed=first, **self._how)
            # Kept by the pool from now on.
            assert pool.observation_space is not None and pool.action_space is not None
            return pool

    def _check(self, arguments: Mapping[str, Any]) -> None:
        import envpool

        known = envpool.make_spec(self.task).config._asdict()
        for name, value in arguments.items():
            told = f"environment {self.env_id!r}: --env-config {name}={value}"
            if name in OURS:
                raise InputError(f"{told} cannot be given, because the run decides it")
            if name not in known:
                raise InputError(f"{told} is no argument of this task{near(name, known)}")
            kind = type(known[name])
            if type(value) is not kind and not (kind is float and type(value) is int):
                raise InputError(f"{told} must be of type {kind.__name__}, as its default {known[name]!r}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the warnings about float64 bounds, which every task with such bounds gives."""
    with warnings.catch_warnings(), unheard():
        warnings.simplefilter("ignore")
        yield

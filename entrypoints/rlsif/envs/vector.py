"""Several copies of one environment, stepped together, behind one interface.

What the copies have of their own ways to begin a new episode ends here: a step gives the true next observations,
those that end an episode included, and `observations` are those to act on next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import gymnasium
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

Array = NDArray[Any]


class Step(NamedTuple):
    """What a step of n copies gave: observations [n, ...], and rewards, terminated, truncated, each [n]."""

    observations: Array
    rewards: Array
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]


class Environments(Protocol):
    """Copies of one environment."""

    # What to act on next, [n, ...].
    observations: Array
    # Which copies will act; the others' next step only begins an episode, [n].
    acting: NDArray[np.bool_]

    def step(self, actions: Array) -> Step:
        """Step every copy by its action, [n, ...]."""

    def close(self) -> None:
        """Close every copy."""


def make(env_id: str, config: dict[str, Any], number: int, seed: int | None, create: Callable[[], Any]) -> Environments:
    """Use the environment's own vector entry point where it has one; else `create` every copy."""
    spec = gymnasium.registry.get(env_id.rpartition(":")[2])
    if spec is not None and spec.vector_entry_point is not None and not spec.additional_wrappers:
        env = gymnasium.make_vec(spec.id, number, vectorization_mode="vector_entry_point", **config)
        if env.metadata.get("autoreset_mode") == AutoresetMode.NEXT_STEP:
            return Vectorised(env, seed)
        env.close()
    return OneByOne([create() for _ in range(number)], seed)


class Vectorised:
    """An environment with a vector entry point, which begins a new episode in the step after the end of one."""

    def __init__(self, env: gymnasium.vector.VectorEnv[Any, Any, Any], seed: int | None) -> None:
        """Reset it."""
        self._env = env
        self.observations, _ = env.reset(seed=seed)
        self.acting = np.ones(env.num_envs, np.bool_)

    def step(self, actions: Array) -> Step:
        """Step every copy by its action, [n, ...]."""
        self.observations, rewards, terminated, truncated, _ = self._env.step(actions)
        self.acting = ~(terminated | truncated)
        return Step(self.observations, rewards, terminated, truncated)

    def close(self) -> None:
        """Close it."""
        self._env.close()


class OneByOne:
    """Environments stepped one after the other, each reset as soon as its episode ends."""

    def __init__(self, envs: list[gymnasium.Env[Any, Any]], seed: int | None) -> None:
        """Reset them, each with a seed of its own."""
        self._envs = envs
        first = [env.reset(seed=None if seed is None else seed + i)[0] for i, env in enumerate(envs)]
        self.observations = np.array(first)
        self.acting = np.ones(len(envs), np.bool_)
        self._discrete = isinstance(envs[0].action_space, gymnasium.spaces.Discrete)

    def step(self, actions: Array) -> Step:
        """Step every copy by its action, [n, ...]."""
        after = np.empty_like(self.observations)
        rewards = np.empty(len(self._envs), np.float32)
        terminated = np.zeros(len(self._envs), np.bool_)
        truncated = np.zeros(len(self._envs), np.bool_)
        ended = []
        # Environments take a discrete action as a Python integer fastest.
        acts = actions.tolist() if self._discrete else actions
        for i, (env, action) in enumerate(zip(self._envs, acts, strict=True)):
            after[i], rewards[i], terminated[i], truncated[i], _ = env.step(action)
            if terminated[i] or truncated[i]:
                ended.append(i)
        self.observations = after
        if ended:
            self.observations = after.copy()
            for i in ended:
                self.observations[i], _ = self._envs[i].reset()
        return Step(after, rewards, terminated, truncated)

    def close(self) -> None:
        """Close every copy."""
        for env in self._envs:
            env.close()  # type: ignore[no-untyped-call]

"""Random actions that an environment's action mask allows, for whoever tries an environment out."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from rlsif.envs.spaces import plain
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.spaces import ActionMask


def legal_action(
    env: gymnasium.Env[Any, Any],
    mask: ActionMask,
    observation: Any,
    info: Mapping[str, Any],
    random: np.random.Generator | None = None,
) -> Any:
    """An action that the mask in this observation or info allows. Raises MaskError where it is not there."""
    random = random or np.random.default_rng(0)
    allowed = masks.of_one(observation, info, mask)
    actions = plain(env.action_space)
    chosen = masks.draw(allowed, policy_space(actions), random)
    [action] = ActionAdapter(actions).each(chosen[None])
    return action


class ActsLegally(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment whose `action_space.sample()` gives what is legal in its present state."""

    def __init__(self, env: gymnasium.Env[Any, Any], mask: ActionMask) -> None:
        """Wrap an environment that has this mask."""
        super().__init__(env)
        self._legal_by, self._last = mask, ({}, {})
        self.action_space = copy.copy(env.action_space)
        self.action_space.sample = self._sample  # type: ignore[method-assign]

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; Gymnasium's checker knows `kwargs` by its name."""
        self._last = self.env.reset(**kwargs)
        return self._last

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Act."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._last = observation, info
        return observation, reward, terminated, truncated, info

    def _sample(self, *_: Any, **__: Any) -> Any:
        return legal_action(self.env, self._legal_by, *self._last, self.action_space.np_random)

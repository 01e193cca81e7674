"""Legal actions in the place of any, for whoever tries out an environment that has an action mask."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils import RecordConstructorArgs

from rlsif.envs.spaces import plain
from rlsif.errors import RlsifError
from rlsif.policies import masks
from rlsif.policies.actions import ActionAdapter, policy_space
from rlsif.policies.spaces import ActionMask


def legal_action(
    action_space: gymnasium.Space[Any], mask: ActionMask, observation: Any, info: Mapping[str, Any], seed: int
) -> Any:
    """An action that the mask in this observation or info allows. Raises MaskError where it is not there, or wrong."""
    allowed, actions = masks.of_one(observation, info, mask), plain(action_space)
    wrong = masks.wrong(allowed[None], policy_space(actions), mask.size)
    if wrong:
        raise masks.MaskError(wrong[1])
    chosen = masks.draw(allowed, policy_space(actions), np.random.default_rng(seed))
    [action] = ActionAdapter(actions).each(chosen[None])
    return action


def random_action(
    env: gymnasium.Env[Any, Any], mask: ActionMask | None, observation: Any, info: Mapping[str, Any]
) -> Any:
    """Any action, or a legal one where there is a mask; by the seed of the action space. Raises RlsifError."""
    return random_action_of(env.action_space, mask, observation, info, type(env.unwrapped).__name__)


def random_action_of(
    action_space: gymnasium.Space[Any], mask: ActionMask | None, observation: Any, info: Mapping[str, Any], name: str
) -> Any:
    """The same from a space of actions; `name` is the environment's, for a message."""
    if mask is None:
        return action_space.sample()
    try:
        return legal_action(action_space, mask, observation, info, int(action_space.np_random.integers(2**31)))
    except masks.MaskError as problem:
        raise RlsifError(f"environment {name}: {problem}") from problem


class ActsLegally(gymnasium.Wrapper[Any, Any, Any, Any], RecordConstructorArgs):
    """An environment that can be given any action: it takes a legal one, always the same for the same."""

    def __init__(self, env: gymnasium.Env[Any, Any], mask: ActionMask) -> None:
        """Wrap an environment that has this mask."""
        # Gymnasium's checker wants it of wrappers.
        RecordConstructorArgs.__init__(self, mask=mask)
        gymnasium.Wrapper.__init__(self, env)
        self._legal_by = mask
        self._last: tuple[Any, dict[str, Any]] = ({}, {})

    def reset(self, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; Gymnasium's checker knows `kwargs` by its name."""
        self._last = self.env.reset(**kwargs)
        return self._last

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take the legal action that is drawn with the given one as a seed."""
        legal = legal_action(self.env.action_space, self._legal_by, *self._last, zlib.crc32(repr(action).encode()))
        observation, reward, terminated, truncated, info = self.env.step(legal)
        self._last = observation, info
        return observation, reward, terminated, truncated, info

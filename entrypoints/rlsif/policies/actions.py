"""From what a policy chooses to what an environment takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gymnasium
from ray.rllib.utils.spaces.space_utils import clip_action, unsquash_action


def to_env(normalize: bool, clip: bool, space: gymnasium.spaces.Space[Any]) -> Callable[[Any], Any]:
    """Turn a policy's actions, [n, ...], into the environment's, as RLlib's normalize_actions and clip_actions say."""
    if isinstance(space, gymnasium.spaces.Discrete):
        # RLlib forgets where they start.
        start = int(space.start)
        return lambda actions: actions + start
    if normalize:
        return lambda actions: unsquash_action(actions, space)
    if clip:
        return lambda actions: clip_action(actions, space)
    return lambda actions: actions

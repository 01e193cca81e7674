"""The smallest environment that an agent can learn: two states, five actions, one of them right."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.spaces import Discrete

RIGHT = 2


class BasicEnv(gymnasium.Env[int, int]):
    """+1 for action 2 and -1 for any other; an episode is one step from state 0 to state 1."""

    def __init__(self, reward: float = 1.0) -> None:
        """`reward` is what the right action gives: `--env-config reward=2`."""
        self.observation_space = Discrete(2)
        self.action_space = Discrete(5)
        self._reward = reward

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Begin an episode, in state 0."""
        super().reset(seed=seed, options=options)
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """Take an action, and end in state 1."""
        return 1, self._reward if action == RIGHT else -1.0, True, False, {}


gymnasium.register("Basic-v0", entry_point=BasicEnv, reward_threshold=0.95)

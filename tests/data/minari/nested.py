"""Observations and actions of many parts, of which one is an image."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Nested(gymnasium.Env):
    """Episodes of four steps."""

    observation_space = spaces.Dict(
        {
            "seen": spaces.Box(0, 255, (32, 32, 3), np.uint8),
            "rest": spaces.Tuple([spaces.Discrete(3, start=1), spaces.Box(-1, 1, (2,), np.float32)]),
        }
    )
    action_space = spaces.Dict(
        {
            "push": spaces.Box(-2, 4, (2,), np.float32),
            "gear": spaces.Discrete(3, start=-1),
            "lamps": spaces.MultiBinary(2),
        }
    )

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action):
        self.steps += 1
        return self.observation_space.sample(), float(self.steps), self.steps == 4, False, {}

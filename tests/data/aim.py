"""An environment whose actions mix choices and numbers."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete


class Aim(gymnasium.Env):
    """Five shots at what is seen: on the right side, and as strong as it is far. The best return is 5."""

    max_episode_steps = 5

    def __init__(self):
        self.observation_space = Box(-2, 2, (2,))
        self.action_space = Dict(strength=Box(0, 10, (1,), np.float64), side=Discrete(2, start=1))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.seen(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        side, strength = self.target
        missed = abs(action["strength"][0] / 5 - 1 - strength)
        reward = float((action["side"] == (2 if side > 0 else 1)) and 1 - missed)
        return self.seen(), reward, False, False, {}

    def seen(self):
        self.target = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.target

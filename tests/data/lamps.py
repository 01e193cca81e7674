"""An environment that takes some of its actions alone, for tests of action masks: an illegal one raises."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete


class Lamps(gymnasium.Env):
    """Five lamps to be put out, each once; to put out the first that is lit is worth 1.

    `told` says where its mask is: "observations", "observation", "beside", "info", or "several" for two actions.
    """

    max_episode_steps = 20

    def __init__(self, told="observations", wrong=""):
        self.told, self.wrong, self.steps = told, wrong, 0
        self.action_space = MultiDiscrete([5, 3]) if told == "several" else Discrete(5, start=2)
        seen = {"size": Box(0, 1, (1,)), "lit": MultiBinary(5)} if told == "beside" else {told: Box(0, 1, (5,))}
        mask = MultiBinary(8 if told == "several" else 5)
        self.observation_space = seen[told] if told == "info" else Dict(action_mask=mask, **seen)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.lit = np.ones(5, np.int8)
        return self.seen()

    def step(self, action):
        self.steps += 1
        which = action[0] if self.told == "several" else action - 2
        if not self.lit[which] or (self.told == "several" and action[1] == self.lit.sum() % 3):
            raise ValueError(f"illegal action {action}, lit are {self.lit}")
        reward = float(which == self.lit.argmax())
        self.lit[which] = 0
        observation, info = self.seen()
        return observation, reward, not self.lit.any(), False, info

    def seen(self):
        mask = self.lit.copy()
        if self.told == "several":
            mask = np.append(mask, np.arange(3) != self.lit.sum() % 3)
        if self.wrong and self.steps > 30:
            mask = {"none": mask * 0, "short": mask[1:], "strange": mask * 3, "missing": None}[self.wrong]
        told = {} if mask is None else {"action_mask": mask}
        lit = self.lit.astype(np.float32)
        if self.told == "info":
            return lit, told
        if self.told == "beside":
            return {**told, "size": np.array([0.5], np.float32), "lit": self.lit.copy()}, {}
        return {**told, self.told: lit}, {}


class Telling(gymnasium.Wrapper):
    """A wrapper that adds the mask to the info of an environment that does not tell it."""

    def reset(self, **kwargs):
        observation, _ = self.env.reset(**kwargs)
        return observation, {"action_mask": self.unwrapped.lit.copy()}

    def step(self, action):
        *step, _ = self.env.step(action)
        return *step, {"action_mask": self.unwrapped.lit.copy()}


def told_by_a_wrapper():
    lamps = Lamps("info")
    lamps.wrong, lamps.steps = "missing", 31
    return Telling(lamps)

"""Environments of many agents, written by hand: some leave early, some come late, some are cut off."""

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

NAMES = ("anna", "ben", "cleo")


class Crowd:
    """PettingZoo's parallel interface: each of three walks on a line, and is paid for its place.

    `ben` comes a step late. Whoever is beyond 3 has arrived, and leaves. After `length` steps all are cut off.
    `wrong` names what the environment is to do wrong; with `numbers` they walk as far as they like.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5, "name": "crowd"}

    def __init__(self, length=12, wrong="", masks=False, numbers=False, render_mode=None):
        self.length, self.wrong, self.masks, self.render_mode = length, wrong, masks, render_mode
        others = {"twice": (*NAMES, "ben"), "one text": (1, *NAMES, "1"), "a set": set(NAMES)}
        self.possible_agents = others.get(wrong, NAMES)
        self.random = np.random.default_rng(0)
        self.spaces = {}
        for name in NAMES:
            seen = Box(-50, 50, (2 + (wrong == "spaces" and name == "cleo"),), np.float32)
            if masks:
                seen = Dict(action_mask=MultiBinary(3), place=seen)
            self.spaces[name] = seen, Box(-1, 1, (1,), np.float32) if numbers else Discrete(3)

    def observation_space(self, agent):
        return None if self.wrong == "no space" and agent == "ben" else self.spaces[agent][0]

    def action_space(self, agent):
        return self.spaces[agent][1]

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.steps, self.ended, self.agents = 0, {}, ["anna", "cleo"]
        self.at = {name: float(self.random.normal()) for name in NAMES}
        return self.seen(self.agents), {name: {} for name in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents), (actions, self.agents)
        for name, action in actions.items():
            assert not self.masks or action != self.forbidden(name)
            way = float(action[0]) if np.ndim(action) else int(action) - 1
            self.at[name] += way + float(self.random.normal(scale=0.5)) + 0.2
        self.steps += 1
        acted = list(self.agents)
        terminated = {name: self.at[name] > 3 for name in acted}
        truncated = {name: self.steps >= self.length for name in acted}
        rewards = {name: self.at[name] - 0.1 * self.steps for name in acted}
        if self.wrong == "raises" and self.steps > 2:
            raise KeyError("lost")
        if self.wrong == "reward" and self.steps > 2:
            rewards[acted[0]] = "much"
        infos = {name: {"metrics": {"place": self.at[name]}} for name in acted}
        self.agents = [name for name in acted if not (terminated[name] or truncated[name])]
        if self.wrong == "flag" and self.steps > 1:
            terminated["cleo"] = "no"
        if self.wrong == "late":
            self.agents, self.ended = [name for name in acted if not self.ended.get(name)], terminated
        seen = self.seen(acted)
        if self.steps == 1 and self.agents:
            self.agents.append("ben")
            seen["ben"], infos["ben"] = self.seen(["ben"])["ben"], {}
        left = [name for name in NAMES if name not in seen]
        if self.wrong == "back" and left and self.steps > 1 and self.agents:
            seen[left[0]] = self.seen(left[:1])[left[0]]
            self.agents.append(left[0])
        if self.wrong == "waits" and self.agents:
            del seen[self.agents[0]]
        if self.wrong == "nothing" and self.steps > 2:
            infos = None
        return seen, rewards, terminated, truncated, infos

    def seen(self, names):
        places = {name: np.array([self.at[name], self.steps], np.float32) for name in names}
        if not self.masks:
            return places
        masks = {name: np.array([action != self.forbidden(name) for action in range(3)], np.int8) for name in names}
        return {name: {"action_mask": masks[name], "place": places[name]} for name in names}

    def forbidden(self, name):
        return (self.steps + NAMES.index(name)) % 3

    def render(self):
        picture = np.zeros((20, 60, 3), np.uint8)
        for name in self.agents:
            picture[:, int(np.clip(self.at[name] * 4 + 30, 0, 59))] = 255
        return picture

    def close(self):
        pass

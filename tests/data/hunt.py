"""An environment of two kinds of agents, who see and do different things: two hunt a third on a line."""

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

HUNTERS, PREY = ("hunter_0", "hunter_1"), "prey"


class Hunt:
    """PettingZoo's parallel interface. A hunter sees how far the prey is, the prey how far both hunters are.

    `hunter_1` tires, and leaves after 4 steps. It is over when the prey is caught, or after `length` steps. With
    `masks` a hunter must not do nothing.
    """

    metadata = {"render_modes": [], "name": "hunt"}
    possible_agents = (*HUNTERS, PREY)

    def __init__(self, length=10, masks=False, render_mode=None):
        self.length, self.masks, self.random = length, masks, np.random.default_rng(0)
        place = Box(-50, 50, (2,), np.float32)
        seen = Dict(action_mask=MultiBinary(3), place=place) if masks else place
        self.spaces = {name: (seen, Discrete(3)) for name in HUNTERS}
        self.spaces[PREY] = Box(-50, 50, (3,), np.float32), Box(-1, 1, (1,), np.float32)

    def observation_space(self, agent):
        return self.spaces[agent][0]

    def action_space(self, agent):
        return self.spaces[agent][1]

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.steps, self.agents = 0, list(self.possible_agents)
        self.at = {name: float(self.random.uniform(-6, 6)) for name in self.agents}
        return self.seen(self.agents), {name: {} for name in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents), (actions, self.agents)
        self.steps += 1
        for name, action in actions.items():
            assert self.spaces[name][1].contains(action), (name, action)
            assert not self.masks or name == PREY or action != 1
            self.at[name] += float(action[0]) if name == PREY else 1.5 * (int(action) - 1)
        acted, far = list(self.agents), {name: abs(self.at[PREY] - self.at[name]) for name in HUNTERS}
        caught = min(far.values()) < 0.5
        rewards = {name: min(far.values()) / 10 if name == PREY else 1 - far[name] / 3 for name in acted}
        terminated = {name: caught or (name == "hunter_1" and self.steps == 4) for name in acted}
        truncated = {name: self.steps >= self.length for name in acted}
        infos = {name: {"metrics": {"far": min(far.values())}} for name in acted}
        self.agents = [name for name in acted if not (terminated[name] or truncated[name])]
        return self.seen(acted), rewards, terminated, truncated, infos

    def seen(self, names):
        found = {}
        for name in names:
            others = HUNTERS if name == PREY else (PREY,)
            place = np.array([*(self.at[other] - self.at[name] for other in others), self.steps], np.float32)
            found[name] = place
            if self.masks and name != PREY:
                found[name] = {"action_mask": np.array([1, 0, 1], np.int8), "place": place}
        return found

    def render(self):
        pass

    def close(self):
        pass


def role(agent):
    """A policy of all hunters, and one of the prey."""
    return "prey" if agent == PREY else "hunter"


def number(agent):
    return 3


def nobody(agent):
    return {"prey": "prey"}[agent]

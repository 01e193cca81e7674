"""Agents on a line who are to stand on as many marks as there are of them; who goes where they must share out."""

import numpy as np
from gymnasium.spaces import Box, Discrete

STEPS = 20


class Spread:
    """PettingZoo's parallel interface. Every agent gets the share of marks on which somebody stands, in each step."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5, "name": "spread"}
    # Who goes where they should get 57 of the 60 that three can have.
    reward_threshold = 45

    def __init__(self, agents=3, render_mode=None):
        """Name the agents; what each sees is where all marks and all others are, as seen from its own place."""
        self.possible_agents = [f"agent_{number}" for number in range(agents)]
        self.render_mode, self._cells = render_mode, 3 * agents
        self._observations = Box(-1, 1, (2 * agents,), np.float32)
        self._actions = Discrete(3)
        self._random = np.random.default_rng()

    def observation_space(self, agent):
        """The same for all."""
        return self._observations

    def action_space(self, agent):
        """Left, stay, right."""
        return self._actions

    def reset(self, seed=None, options=None):
        """Put agents and marks anywhere, the marks on different cells."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        self.agents, self._steps = list(self.possible_agents), 0
        self._at = self._random.integers(self._cells, size=len(self.agents))
        self._marks = np.sort(self._random.choice(self._cells, size=len(self.agents), replace=False))
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        """Move all at once."""
        moves = np.array([actions[agent] for agent in self.agents]) - 1
        self._at = np.clip(self._at + moves, 0, self._cells - 1)
        self._steps += 1
        covered = float(np.isin(self._marks, self._at).mean())
        agents, over = self.agents, self._steps == STEPS
        self.agents = [] if over else agents
        infos = {agent: {"metrics": {"covered": covered}} for agent in agents}
        flags = {agent: over for agent in agents}
        return self._seen(agents), dict.fromkeys(agents, covered), dict.fromkeys(agents, False), flags, infos

    def _seen(self, agents=None):
        seen = {}
        for number, agent in enumerate(agents or self.agents):
            others = np.sort(np.delete(self._at, number) - self._at[number])
            marks = self._marks - self._at[number]
            place = [2 * self._at[number] / (self._cells - 1) - 1]
            seen[agent] = np.concatenate([place, marks / self._cells, others / self._cells]).astype(np.float32)
        return seen

    def render(self):
        """Marks in white below, agents in red above."""
        picture = np.zeros((40, self._cells * 20, 3), np.uint8)
        for mark in self._marks:
            picture[22:38, mark * 20 + 2 : mark * 20 + 18] = 255
        for place in self._at:
            picture[2:18, place * 20 + 2 : place * 20 + 18, 0] = 255
        return picture

    def close(self):
        """Nothing is open."""

"""A game for two, who take turns: one takes one to three from a heap, and whoever takes the last has won."""

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

PLAYERS = ("white", "black")


class Heap:
    """PettingZoo's AEC interface, written by hand. Whoever waits is paid for what the other takes, too."""

    metadata = {"render_modes": [], "name": "heap"}
    possible_agents = PLAYERS

    def __init__(self, most=10, wrong="", render_mode=None):
        self.most, self.wrong, self.render_mode = most, wrong, render_mode
        self.random = np.random.default_rng(0)
        self.seen = Dict(action_mask=MultiBinary(3), observation=Box(0, 100, (2,), np.float32))
        self.moves = Discrete(3)

    def observation_space(self, agent):
        return self.seen

    def action_space(self, agent):
        return self.moves

    def reset(self, seed=None, options=None):
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.agents, self.agent_selection = list(PLAYERS), PLAYERS[0]
        # Moves are numbered, so that no two observations are the same.
        self.left, self.number = int(self.random.integers(4, self.most + 1)), 0
        self.rewards = dict.fromkeys(PLAYERS, 0.0)
        self.terminations, self.truncations = dict.fromkeys(PLAYERS, False), dict.fromkeys(PLAYERS, False)
        self.infos = {player: {} for player in PLAYERS}

    def observe(self, agent):
        mask = np.array([self.left >= taken for taken in (1, 2, 3)], np.int8)
        return {"action_mask": mask, "observation": np.array([self.left, self.number], np.float32)}

    def last(self):
        raise NotImplementedError("what is summed up there is summed up by whoever steps")

    def agent_iter(self):
        raise NotImplementedError

    def step(self, action):
        me, other = self.agent_selection, PLAYERS[self.agent_selection == PLAYERS[0]]
        if self.terminations[me]:
            assert action is None
            if self.wrong == "stays":
                return
            self.agents.remove(me)
            self.agent_selection = self.agents[0] if self.agents else me
            return
        taken = int(action) + 1
        assert taken <= self.left, f"{me} takes {taken} of {self.left}"
        self.left, self.number = self.left - taken, self.number + 1
        self.rewards = {me: 0.1, other: 0.01 * taken}
        self.agent_selection = other
        if self.left == 0:
            self.rewards = {me: 1.0, other: -1.0}
            self.terminations = dict.fromkeys(PLAYERS, True)

    def render(self):
        pass

    def close(self):
        pass


class Rounds(Heap):
    """Something comes of moves only when both have moved: one is taken. So they may as well move at once."""

    metadata = {**Heap.metadata, "is_parallelizable": True}

    def last(self):
        return None, 0.0, False, False, {}

    def step(self, action):
        me = self.agent_selection
        if self.terminations[me]:
            super().step(action)
            return
        self.agent_selection = PLAYERS[me == PLAYERS[0]]
        self.rewards = dict.fromkeys(PLAYERS, 0.0)
        if me == PLAYERS[1]:
            self.left, self.number = self.left - 1, self.number + 1
            self.rewards = dict.fromkeys(PLAYERS, 1.0)
            self.terminations = dict.fromkeys(PLAYERS, self.left == 0)


class NoCycle(Rounds):
    """Says so, too, and lets one move twice in a row."""

    def step(self, action):
        first = self.agent_selection == PLAYERS[0]
        super().step(action)
        if first and self.left == 2:
            self.agent_selection = PLAYERS[0]

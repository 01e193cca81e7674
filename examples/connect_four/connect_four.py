"""Connect four: two players drop pieces into seven columns, and whoever has four in a row has won."""

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary

COLUMNS, ROWS = 7, 6
PLAYERS = ["first", "second"]
# The pieces of a player are bits of one number: those of a column one above the other, and one more that stays empty.
HIGH = ROWS + 1
# From a cell to the next: up, to the right, and along both diagonals.
DIRECTIONS = (1, HIGH, HIGH - 1, HIGH + 1)
FULL = sum(((1 << ROWS) - 1) << HIGH * column for column in range(COLUMNS))


def fours(pieces, cells):
    """Which of these cells would make four in a row with the pieces of one player; all are bits of numbers."""
    found = 0
    for way in DIRECTIONS:
        before, after = pieces << way & pieces << 2 * way, pieces >> way & pieces >> 2 * way
        found |= before & (pieces << 3 * way | pieces >> way) | after & (pieces << way | pieces >> 3 * way)
    return found & cells


class ConnectFour:
    """PettingZoo's AEC interface: players act in turns, and a mask says into which columns a piece can be dropped."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 2, "name": "connect_four"}
    possible_agents = PLAYERS

    def __init__(self, render_mode=None):
        """Both see the board from their own side.

        It has four planes of cells: their own pieces, the other's, and where the next piece makes four in a row for
        each.
        """
        self.render_mode = render_mode
        board = Box(0, 1, (4, COLUMNS, ROWS), np.int8)
        self._observations = Dict(observation=board, action_mask=MultiBinary(COLUMNS))
        self._actions = Discrete(COLUMNS)

    def observation_space(self, agent):
        """The same for both."""
        return self._observations

    def action_space(self, agent):
        """The column of the next piece."""
        return self._actions

    def reset(self, seed=None, options=None):
        """Empty the board."""
        self.agents, self.agent_selection = list(PLAYERS), PLAYERS[0]
        self._pieces, self._heights = dict.fromkeys(PLAYERS, 0), [0] * COLUMNS
        self.rewards = dict.fromkeys(PLAYERS, 0.0)
        self.terminations, self.truncations = dict.fromkeys(PLAYERS, False), dict.fromkeys(PLAYERS, False)
        self.infos = {player: {} for player in PLAYERS}

    def step(self, action):
        """Drop a piece of whoever is in turn; the winner gets 1, the loser -1."""
        me = self.agent_selection
        other = PLAYERS[me == PLAYERS[0]]
        if self.terminations[me]:
            # PettingZoo has both step once more when the game is over.
            self.agents.remove(me)
            self.agent_selection = other
            return
        cell = 1 << HIGH * action + self._heights[action]
        if fours(self._pieces[me], cell):
            self.rewards = {me: 1.0, other: -1.0}
        self._pieces[me] |= cell
        self._heights[action] += 1
        if self.rewards[me] or self._pieces[me] | self._pieces[other] == FULL:
            self.terminations = dict.fromkeys(PLAYERS, True)
        self.agent_selection = other

    def observe(self, agent):
        """The board and the columns that have room."""
        mine, theirs = self._pieces[agent], self._pieces[PLAYERS[agent == PLAYERS[0]]]
        # Where the next piece of each column comes to lie; above a full one nothing does.
        free = FULL & sum(1 << HIGH * column + height for column, height in enumerate(self._heights))
        board = _cells(mine, theirs, fours(mine, free), fours(theirs, free))
        return {"observation": board, "action_mask": np.array([height < ROWS for height in self._heights], np.int8)}

    def last(self, observe=True):
        """What whoever is in turn has come to; for those who step the game by PettingZoo's own loop."""
        me = self.agent_selection
        seen = self.observe(me) if observe else None
        return seen, self.rewards[me], self.terminations[me], self.truncations[me], self.infos[me]

    def agent_iter(self):
        """Whoever is in turn, until the game is over for both."""
        while self.agents:
            yield self.agent_selection

    def render(self):
        """Red and yellow pieces on blue."""
        picture = np.full((ROWS * 20, COLUMNS * 20, 3), (0, 60, 160), np.uint8)
        for player, colour in zip(PLAYERS, ((220, 40, 40), (240, 210, 40))):
            for column, row in np.argwhere(_cells(self._pieces[player])[0]):
                picture[(ROWS - row) * 20 - 18 : (ROWS - row) * 20 - 2, column * 20 + 2 : column * 20 + 18] = colour
        return picture

    def close(self):
        """Nothing is open."""


def _cells(*planes):
    """The bits of numbers as [planes, columns, rows]."""
    numbers = np.array(planes, "<u8").view(np.uint8).reshape(len(planes), 8)
    bits = np.unpackbits(numbers, axis=1, bitorder="little")[:, : HIGH * COLUMNS]
    return bits.reshape(len(planes), COLUMNS, HIGH)[:, :, :ROWS].view(np.int8)

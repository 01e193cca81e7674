"""A day in a small power grid: two power stations, a battery and whoever switches off load keep it in balance."""

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete

HOURS = 24
# In MW: an output level of each station, what the battery moves in an hour at most, and what it holds in MWh.
COAL_LEVEL, GAS_LEVEL, POWER, CAPACITY = 20.0, 10.0, 15.0, 60.0
COAL_LEVELS, GAS_LEVELS = 5, 4
# For a MWh: coal, gas, load that is switched off, and what is missing or too much.
COAL_COST, GAS_COST, SHED_COST, IMBALANCE_COST = 1.0, 2.5, 6.0, 10.0
# Of the battery, what is left of a MWh after it was charged and discharged again.
EFFICIENCY = 0.9
# The shares of a district's load that can be switched off.
SHARES = np.array([0.0, 0.1, 0.2])


class PowerGrid:
    """PettingZoo's parallel interface. All four get minus the cost of the hour, in hundreds."""

    metadata = {"render_modes": [], "name": "power_grid"}
    possible_agents = ["coal", "gas", "battery", "load"]
    # Chance gets -378, whoever does nothing -121, and a rule that knows the next hour -42.
    reward_threshold = -65

    def __init__(self, render_mode=None):
        """Each agent has spaces of its own: what it sees of the grid, and what it decides."""
        self.render_mode, self._random = render_mode, np.random.default_rng()
        seen = {"coal": 7, "gas": 7, "battery": 8, "load": 8}
        self._observations = {name: Box(-2, 2, (width,), np.float32) for name, width in seen.items()}
        self._actions = {
            # One level down, stay, one level up: a coal station is slow.
            "coal": Discrete(3),
            "gas": Discrete(GAS_LEVELS),
            # From discharging to charging.
            "battery": Box(-1, 1, (1,), np.float32),
            # Which share of each district's load is switched off.
            "load": MultiDiscrete([len(SHARES), len(SHARES)]),
        }

    def observation_space(self, agent):
        """What the agent sees."""
        return self._observations[agent]

    def action_space(self, agent):
        """What the agent decides."""
        return self._actions[agent]

    def reset(self, seed=None, options=None):
        """Draw a day: the loads of two districts, with a peak in the evening, and the sun."""
        if seed is not None:
            self._random = np.random.default_rng(seed)
        hours, draw = np.arange(HOURS + 3), self._random.uniform
        evening = np.exp(-(((hours - draw(18, 20)) / 3) ** 2))
        districts = np.array([[25.0], [20.0]]) * (1 + np.array([[0.5], [0.9]]) * evening)
        self._loads = districts * draw(0.9, 1.1, (2, 1)) + self._random.normal(0, 1, (2, HOURS + 3))
        self._sun = draw(15, 45) * np.clip(np.sin((hours - 6) / 12 * np.pi), 0, None)
        self.agents, self._hour, self._totals = list(self.possible_agents), 0, np.zeros(2)
        self._coal, self._gas, self._charge = 2, 0, CAPACITY / 2
        return self._seen(), {agent: {} for agent in self.agents}

    def step(self, actions):
        """Let an hour pass."""
        loads, sun = self._loads[:, self._hour], self._sun[self._hour]
        self._coal = int(np.clip(self._coal + actions["coal"] - 1, 0, COAL_LEVELS - 1))
        self._gas = int(actions["gas"])
        charged = float(np.clip(actions["battery"][0] * POWER, -self._charge, (CAPACITY - self._charge) / EFFICIENCY))
        self._charge += charged * EFFICIENCY if charged > 0 else charged
        off = float((SHARES[np.asarray(actions["load"])] * loads).sum())
        coal, gas = self._coal * COAL_LEVEL, self._gas * GAS_LEVEL
        # What is too much of the sun is cut off, and costs nothing.
        balance = coal + gas + sun + off - charged - float(loads.sum())
        wrong = max(0.0, balance - sun) + max(0.0, -balance)
        cost = COAL_COST * coal + GAS_COST * gas + SHED_COST * off + IMBALANCE_COST * wrong
        self._hour += 1
        agents, over = self.agents, self._hour == HOURS
        self.agents = [] if over else agents
        self._totals += wrong, off
        told = dict(zip(("imbalance", "switched_off"), self._totals.tolist()))
        infos = {agent: {"metrics": told} for agent in agents}
        flags = dict.fromkeys(agents, over)
        return self._seen(agents), dict.fromkeys(agents, -cost / 100), dict.fromkeys(agents, False), flags, infos

    def _seen(self, agents=None):
        """The hour, what the grid needs now and next, and what each has of its own."""
        hour, angle = self._hour, self._hour / HOURS * 2 * np.pi
        needs = (self._loads.sum(axis=0) - self._sun)[hour : hour + 3] / 50 - 1
        common = [np.sin(angle), np.cos(angle), *needs, self._coal / 2 - 1]
        of_battery = self._charge / CAPACITY * 2 - 1
        own = {
            "coal": [of_battery],
            "gas": [of_battery],
            "battery": [of_battery, self._gas / 2 - 1],
            "load": (self._loads[:, hour] / 25 - 1).tolist(),
        }
        seen = {agent: np.array([*common, *own[agent]], np.float32) for agent in agents or self.agents}
        return {agent: np.clip(vector, -2, 2) for agent, vector in seen.items()}

    def render(self):
        """There is nothing to see."""

    def close(self):
        """Nothing is open."""

"""A room that is to be kept at 20 degrees, by a simulator in a process of its own."""

import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np


class Room(gymnasium.Env):
    """Heat or cool; the reward is 1 where the temperature is within a degree of 20."""

    observation_space = gymnasium.spaces.Box(-20, 60, (1,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)
    max_episode_steps = 8

    def __init__(self):
        """Start the simulator; it ends with its standard input."""
        program = [sys.executable, Path(__file__).with_name("simulator.py")]
        self._simulator = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def reset(self, *, seed=None, options=None):
        """Begin 2 degrees too warm or too cold."""
        super().reset(seed=seed)
        temperature, _ = self._ask("reset", int(self.np_random.integers(2**31)))
        return np.array([temperature - 20], np.float32), {}

    def step(self, action):
        """Heat (1) or cool (0) for a while."""
        temperature, distance = self._ask("step", int(action))
        return np.array([temperature - 20], np.float32), float(distance <= 1), False, False, {}

    def _ask(self, command, value):
        self._simulator.stdin.write(f"{command} {value}\n")
        self._simulator.stdin.flush()
        return (float(word) for word in self._simulator.stdout.readline().split())

    def close(self):
        """End the simulator."""
        self._simulator.stdin.close()
        self._simulator.wait(timeout=10)

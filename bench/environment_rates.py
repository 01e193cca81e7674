"""How fast environments are stepped: by a plain loop with random actions, and by an env runner, for the learner.

Runs inside an image with the extras. Usage: environment_rates.py ROUNDS. Prints one line of JSON: "environments" ->
name -> place -> env steps a second of all rounds, and "agents" the same with agent steps.
"""

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import ray
from parts import SPREAD, Learner

from rlsif.envs.find import make
from rlsif.envs.reference import parse

SECONDS = 5.0
HERE = f"{Path(__file__).resolve()}"
# Environments that an env runner steps together, env steps of all of them in one batch, and other settings than 2x64.
RATES = {
    "Acrobot-v1": ("Acrobot-v1", 16, 4096, {}),
    "HalfCheetah-v5": ("HalfCheetah-v5", 8, 2048, {}),
    "ALE/Pong-v5, 84x84x4, RLlib's network": ("ALE/Pong-v5", 8, 512, {"model": {}}),
    "a Dict of three parts, 0.2 ms a step": (f"{HERE}:Parts", 16, 4096, {}),
    "a simulator of 50 ms a step": (f"{HERE}:Simulator", 1, 40, {"minibatch_size": 40}),
}
# Environments of many agents: the same, and the agents' number as their argument.
AGENTS = {
    "mpe2.simple_spread_v3, 3 agents": ("mpe2.simple_spread_v3", 8, 512, {"N": 3}),
    "mpe2.simple_spread_v3, 30 agents": ("mpe2.simple_spread_v3", 4, 128, {"N": 30}),
    "examples/spread, 3 agents": (SPREAD, 16, 2048, {"agents": 3}),
    "examples/spread, 30 agents": (SPREAD, 4, 512, {"agents": 30}),
}


class Parts(gymnasium.Env):
    """Observations of several parts, as robots have them."""

    observation_space = gymnasium.spaces.Dict(
        {
            "joints": gymnasium.spaces.Box(-1, 1, (12,)),
            "goal": gymnasium.spaces.Box(-1, 1, (3,)),
            "mode": gymnasium.spaces.Discrete(4),
        }
    )
    action_space = gymnasium.spaces.Box(-1, 1, (4,))
    seconds = 0.0002

    def reset(self, *, seed=None, options=None):
        """Begin."""
        super().reset(seed=seed)
        self._steps = 0
        return self._seen(), {}

    def step(self, action):
        """Compute for a while, as a simulator does."""
        until = time.perf_counter() + self.seconds
        while time.perf_counter() < until:
            pass
        self._steps += 1
        return self._seen(), 1.0, False, self._steps >= 200, {}

    def _seen(self):
        joints, goal = np.zeros(12, np.float32), np.zeros(3, np.float32)
        return {"joints": joints, "goal": goal, "mode": self._steps % 4}


class Simulator(gymnasium.Env):
    """A program of its own is waited for."""

    observation_space, action_space = gymnasium.spaces.Box(-1, 1, (8,)), gymnasium.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        """Begin."""
        super().reset(seed=seed)
        self._steps = 0
        return np.zeros(8, np.float32), {}

    def step(self, action):
        """Wait."""
        time.sleep(0.05)
        self._steps += 1
        return np.zeros(8, np.float32), 1.0, False, self._steps >= 20, {}


def plain_loop(name: str) -> float:
    """Env steps a second of one copy, with random actions."""
    env = make(parse(name, {}, Path.cwd()))
    actions = [env.action_space.sample() for _ in range(1000)]
    env.reset(seed=0)
    started, steps = time.monotonic(), 0
    while time.monotonic() - started < SECONDS:
        _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
        steps += 1
        if terminated or truncated:
            env.reset()
    return steps / (time.monotonic() - started)


def plain_loop_of_agents(name: str, arguments: dict[str, int]) -> float:
    """Agent steps a second of one copy, with random actions, as PettingZoo's parallel interface has them."""
    if name == SPREAD:
        sys.path.insert(0, str(Path(SPREAD).parent))
        env = importlib.import_module("spread").Spread(**arguments)
    else:
        env = importlib.import_module(name).parallel_env(**arguments)
    actions = [{agent: env.action_space(agent).sample() for agent in env.possible_agents} for _ in range(100)]
    env.reset(seed=0)
    started, steps, agent_steps = time.monotonic(), 0, 0
    while time.monotonic() - started < SECONDS:
        agent_steps += len(env.agents)
        env.step(actions[steps % len(actions)])
        steps += 1
        if not env.agents:
            env.reset()
    return agent_steps / (time.monotonic() - started)


def main(rounds: int) -> None:
    """Measure and print."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    environments: dict[str, dict[str, list[float]]] = {}
    agents: dict[str, dict[str, list[float]]] = {}

    def sampled(*arguments: object) -> float:
        learner = ray.remote(Learner).options(num_cpus=1).remote(*arguments)
        found = ray.get(learner.sampling.remote())["env-steps/s"]
        ray.kill(learner)
        return found

    def looped(loop: Callable[..., float], *arguments: object) -> float:
        return ray.get(ray.remote(loop).options(num_cpus=1).remote(*arguments))

    for _ in range(rounds):
        for title, (name, envs, batch, settings) in RATES.items():
            of = environments.setdefault(title, {"plain loop": [], "env runner": []})
            of["plain loop"].append(looped(plain_loop, name))
            of["env runner"].append(sampled(name, envs, batch, {}, settings, True))
        for title, (name, envs, batch, arguments) in AGENTS.items():
            of = agents.setdefault(title, {"plain loop": [], "env runner": [], "RLlib": []})
            [count] = arguments.values()
            of["plain loop"].append(looped(plain_loop_of_agents, name, arguments))
            of["env runner"].append(count * sampled(name, envs, batch, arguments, {}, True))
            of["RLlib"].append(count * sampled(name, envs, batch, arguments, {}, False))
    print(json.dumps({"environments": environments, "agents": agents}))


if __name__ == "__main__":
    main(int(sys.argv[1]))

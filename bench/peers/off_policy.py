"""The peers: DQN and SAC of Stable-Baselines3 (PyTorch) and of SBX (JAX).

Usage: off_policy.py rate|goal stable_baselines3|sbx TASK SEED SECONDS. Prints one line of JSON. With `rate`: env steps
and updates a second after the warm-up, with the settings of bench/off_policy_tasks.py. With `goal`: mean return,
seconds and env steps of a training by rl-baselines3-zoo's preset, which stops at the task's mean return over the last
100 episodes.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

from stable_baselines3.common.callbacks import BaseCallback

sys.path.insert(0, str(Path(__file__).parents[2]))
from bench.off_policy_tasks import LEARNING_STARTS, SECONDS, TASKS, WARM_UP, Task

# The zoo's, at its commit of the versions in off_policy.lock.
ZOO = {
    "DQN": {
        "learning_rate": 2.3e-3, "batch_size": 64, "buffer_size": 100_000, "learning_starts": 1000, "gamma": 0.99,
        "target_update_interval": 10, "train_freq": 256, "gradient_steps": 128, "exploration_fraction": 0.16,
        "exploration_final_eps": 0.04, "policy_kwargs": {"net_arch": [256, 256]},
    },
    "SAC": {"learning_rate": 1e-3},
}  # fmt: skip
ZOOS_STEPS = 50_000
LONG, EPISODES = 10_000_000, 100


class Rate(BaseCallback):
    """Ends the training some seconds after the warm-up."""

    def _init_callback(self) -> None:
        self.started: float | None = None

    def _on_step(self) -> bool:
        now = time.monotonic()
        if self.started is None and self.num_timesteps >= WARM_UP:
            self.started, self.steps, self.updates = now, self.num_timesteps, self.model._n_updates
        if self.started is None or now - self.started < SECONDS:
            return True
        taken = now - self.started
        self.figures = {
            "env-steps/s": (self.num_timesteps - self.steps) / taken,
            "updates/s": (self.model._n_updates - self.updates) / taken,
        }
        return False


class Goal(BaseCallback):
    """Ends the training at a mean return, or after so many seconds."""

    def __init__(self, goal: float, longest: float) -> None:
        """Take the goal and the most seconds."""
        super().__init__()
        self._goal, self._until = goal, time.monotonic() + longest
        self.mean: float | None = None

    def _on_step(self) -> bool:
        returns = [episode["r"] for episode in self.model.ep_info_buffer]
        self.mean = sum(returns) / len(returns) if len(returns) == EPISODES else None
        return time.monotonic() < self._until and (self.mean is None or self.mean < self._goal)


def rate(algorithm: type, task: Task, seed: int) -> dict[str, float]:
    """Env steps and updates a second."""
    settings = {
        "batch_size": task.batch, "train_freq": task.every, "gradient_steps": 1, "buffer_size": 50_000,
        "learning_starts": LEARNING_STARTS, "policy_kwargs": {"net_arch": list(task.hidden)},
    }  # fmt: skip
    model = algorithm("MlpPolicy", task.env, seed=seed, device="cpu", **settings)
    callback = Rate()
    model.learn(LONG, callback=callback)
    return callback.figures


def goal(algorithm: type, task: Task, seed: int, longest: float) -> dict[str, float | None]:
    """A training by the zoo's preset."""
    settings = dict(ZOO[task.algo])
    # Epsilon anneals over its share of the zoo's steps; the training may take more of them.
    if "exploration_fraction" in settings:
        settings["exploration_fraction"] *= ZOOS_STEPS / LONG
    model = algorithm("MlpPolicy", task.env, seed=seed, device="cpu", **settings)
    callback = Goal(task.goal, longest)
    started = time.monotonic()
    model.learn(LONG, callback=callback)
    return {"mean": callback.mean, "seconds": time.monotonic() - started, "env_steps": model.num_timesteps}


def main(what: str, library: str, name: str, seed: int, longest: float) -> None:
    """Measure and print."""
    task = TASKS[name]
    algorithm = getattr(importlib.import_module(library), task.algo)
    figures = rate(algorithm, task, seed) if what == "rate" else goal(algorithm, task, seed, longest)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))

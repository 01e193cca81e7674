"""The peer: Stable-Baselines3's PPO with the settings that rl-baselines3-zoo has for CartPole-v1.

Usage: stable_baselines3_ppo.py SEED SECONDS. Prints one line of JSON: mean return, seconds, env steps.
Stops at a mean return of 475 over the last 100 episodes, as all here do; the zoo's own end is 100,000 env steps,
over which its rates fall to 0.
"""

import json
import sys
import time

from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

ZOOS_STEPS = 100_000


class Stop(BaseCallback):
    """Ends the training."""

    def __init__(self, longest: float) -> None:
        """Take the most seconds."""
        super().__init__()
        self._until, self.mean = time.monotonic() + longest, None

    def _on_step(self) -> bool:
        buffer = self.model.ep_info_buffer
        self.mean = sum(e["r"] for e in buffer) / 100 if len(buffer) == 100 else None
        return time.monotonic() < self._until and (self.mean is None or self.mean < 475)


def main(seed: int, longest: float) -> None:
    """Train and print."""
    model = PPO(
        "MlpPolicy", make_vec_env("CartPole-v1", n_envs=8, seed=seed), seed=seed, device="cpu",
        n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=20, ent_coef=0.0,
        learning_rate=lambda left: left * 0.001, clip_range=lambda left: left * 0.2,
    )  # fmt: skip
    stop = Stop(longest)
    started = time.monotonic()
    model.learn(ZOOS_STEPS, callback=stop)
    print(json.dumps({"mean": stop.mean, "seconds": time.monotonic() - started, "env_steps": model.num_timesteps}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))

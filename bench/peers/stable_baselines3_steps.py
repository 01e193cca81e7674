"""The peer: Stable-Baselines3's PPO, how many env steps a second it trains.

Usage: stable_baselines3_steps.py ENV dummy|subproc COPIES BATCH MINIBATCH EPOCHS SECONDS. Prints one line of JSON.
"""

import json
import sys
import time

import gymnasium
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecFrameStack


class Rate(BaseCallback):
    """Counts from the second batch on."""

    def __init__(self, seconds: float) -> None:
        """Take the length of the measurement."""
        super().__init__()
        self._seconds, self.began, self.steps, self.ended = seconds, 0.0, 0, 0.0

    def _on_rollout_start(self) -> None:
        self.ended = time.monotonic()
        if self.began:
            self.steps = self.num_timesteps - self._first
        elif self.num_timesteps:
            self.began, self._first = self.ended, self.num_timesteps

    def _on_step(self) -> bool:
        return not self.began or self.ended - self.began < self._seconds


def atari(env: gymnasium.Env) -> gymnasium.Env:
    """As `train` has it: 84x84, grey, four frames a step."""
    return gymnasium.wrappers.AtariPreprocessing(env, noop_max=0, frame_skip=4, grayscale_newaxis=True)


def main(env: str, kind: str, copies: int, batch: int, minibatch: int, epochs: int, seconds: float) -> None:
    """Train and print."""
    more = {}
    if env.startswith("ALE/"):
        # Other processes have to register it, too.
        env = f"ale_py:{env}"
        more = {"wrapper_class": atari, "env_kwargs": {"frameskip": 1}}
    envs = make_vec_env(env, copies, vec_env_cls={"dummy": DummyVecEnv, "subproc": SubprocVecEnv}[kind], **more)
    envs = VecFrameStack(envs, 4) if more else envs
    policy = "CnnPolicy" if more else "MlpPolicy"
    model = PPO(policy, envs, n_steps=batch // copies, batch_size=minibatch, n_epochs=epochs, device="cpu")
    rate = Rate(seconds)
    model.learn(1_000_000_000, callback=rate)
    print(json.dumps({"env-steps/s": rate.steps / (rate.ended - rate.began)}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *(int(each) for each in sys.argv[3:7]), float(sys.argv[7]))

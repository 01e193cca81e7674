"""The peer: RLlib's PPO on its new stack with PyTorch, as RLlib's own tuned example has it for CartPole-v1.

Usage: rllib_torch_ppo.py SEED SECONDS. Prints one line of JSON: mean return, seconds, env steps.
Stops at a mean return of 475 over the last 100 episodes.
"""

import json
import os
import sys
import time

import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig


def main(seed: int, longest: float) -> None:
    """Train and print."""
    cores = len(os.sched_getaffinity(0))
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    config = (
        PPOConfig()
        .environment("CartPole-v1")
        .env_runners(num_env_runners=cores - 1)
        .training(lr=0.0003, num_epochs=6, vf_loss_coeff=0.01)
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[32], fcnet_activation="linear", vf_share_layers=True))
        .reporting(metrics_num_episodes_for_smoothing=100)
        .debugging(seed=seed)
    )
    algorithm = config.build_algo()
    started = time.monotonic()
    mean, steps, episodes = None, 0, 0
    while time.monotonic() - started < longest and (mean is None or mean < 475):
        runners = algorithm.train()["env_runners"]
        episodes = runners["num_episodes_lifetime"]
        mean = float(runners["episode_return_mean"]) if episodes >= 100 else None
        steps = int(runners["num_env_steps_sampled_lifetime"])
    print(json.dumps({"mean": mean, "seconds": time.monotonic() - started, "env_steps": steps}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))

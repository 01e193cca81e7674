"""The peer: RLlib's PPO with its own settings, on TensorFlow, one env runner a core but one.

Usage: rllib_defaults.py SEED SECONDS. Prints one line of JSON: mean return, seconds, env steps.
Stops at a mean return of 475 over the last 100 episodes.
"""

import json
import os
import sys
import time

import ray
from ray.rllib.algorithms.ppo import PPOConfig


def main(seed: int, longest: float) -> None:
    """Train and print."""
    cores = len(os.sched_getaffinity(0))
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False)
    config = PPOConfig().api_stack(enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False)
    config.environment("CartPole-v1").framework("tf").debugging(seed=seed).env_runners(num_env_runners=cores - 1)
    algorithm = config.build_algo()
    started = time.monotonic()
    mean, steps = None, 0
    returns: list[float] = []
    while time.monotonic() - started < longest and (mean is None or mean < 475):
        result = algorithm.train()
        runners = result["env_runners"]
        ended = int(runners["episodes_this_iter"])
        returns = (returns + runners["hist_stats"]["episode_reward"][-ended:] if ended else returns)[-100:]
        mean = sum(returns) / len(returns) if len(returns) == 100 else None
        steps = result["num_env_steps_sampled_lifetime"]
    print(json.dumps({"mean": mean, "seconds": time.monotonic() - started, "env_steps": steps}))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))

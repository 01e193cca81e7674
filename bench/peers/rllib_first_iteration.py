"""The peer's trainer: RLlib's PPO on a cluster of Ray's, its first iteration.

Usage: rllib_first_iteration.py ADDRESS NODES STARTED, the last in seconds since the epoch, when the batch script began.
Prints when all nodes are there, and when the iteration is done, as `train` on a cluster does.
"""

import sys
import time

import ray
from ray.rllib.algorithms.ppo import PPOConfig

# Of the head and of the learner there is one each.
NOT_ROLLOUT = 2


def main(address: str, nodes: int, started: float) -> None:
    """Train and print."""

    def reached(what: str) -> None:
        print(f"+{time.time() - started:.1f}s {what}", flush=True)

    ray.init(address=address, log_to_driver=False)
    while len([node for node in ray.nodes() if node["Alive"]]) < nodes:
        time.sleep(0.1)
    reached("all joined")
    config = PPOConfig().api_stack(enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False)
    config.environment("CartPole-v1").framework("tf").env_runners(num_env_runners=nodes - NOT_ROLLOUT)
    config.training(train_batch_size=400, minibatch_size=100, num_epochs=2)
    config.build_algo().train()
    reached("the first iteration is done")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))

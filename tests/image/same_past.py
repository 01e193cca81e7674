"""Print, for each kind of memory, the largest difference between what RLlib's sampler and Past make a policy choose by.

Usage, inside the image: same_past.py FRAMEWORK.
"""

import sys

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import numpy as np
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.policy.sample_batch import SampleBatch

from rlsif.learning.past import Past

ATTENTION = {"use_attention": True, "attention_num_transformer_units": 2, "attention_memory_inference": 7}
MEMORIES = {
    "lstm": ("Pendulum-v1", {"use_lstm": True, "lstm_use_prev_action": True, "lstm_use_prev_reward": True}),
    "attention": ("CartPole-v1", ATTENTION),
}
STEPS = 80


def difference(env, framework, model):
    """Between the inputs of the distributions, over the steps of several episodes."""
    config = PPOConfig().api_stack(enable_rl_module_and_learner=False, enable_env_runner_and_connector_v2=False)
    config = config.environment(env).framework(framework).debugging(seed=1)
    config = config.env_runners(num_env_runners=0, rollout_fragment_length=STEPS)
    config = config.training(model={"max_seq_len": 10, **model}, train_batch_size=STEPS, minibatch_size=STEPS)
    algorithm = config.build_algo()
    rows = algorithm.env_runner.sample().policy_batches["default_policy"]
    policy = algorithm.get_policy()
    past, last, largest = Past(policy, 3), None, 0.0
    for step in range(STEPS):
        episode = rows["eps_id"][step]
        if episode != last:
            past.forget(1)
            last = episode
        sees = SampleBatch({"obs": rows["obs"][step : step + 1], **past.seen([1])})
        _, states, told = policy.compute_actions_from_input_dict(sees, explore=False)
        differs = np.abs(told["action_dist_inputs"][0] - rows["action_dist_inputs"][step]).max()
        largest = max(largest, float(differs))
        past.acted([1], rows["actions"][step : step + 1], states)
        past.rewarded(1, rows["rewards"][step])
    algorithm.stop()
    return largest


if __name__ == "__main__":
    for name, (env, model) in MEMORIES.items():
        print(f"{name}: {difference(env, sys.argv[1], model):.1e}", flush=True)

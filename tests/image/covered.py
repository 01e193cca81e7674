"""Runs inside the image: which settings are sampled in NumPy, and which seeds env runners draw; as one JSON object."""

import json
import os

from rlsif.private_api import NO_TENSORFLOW

os.environ[NO_TENSORFLOW] = "1"

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.build import against_sampling, configure
from rlsif.learning.spec import Layout, RunSpec
from rlsif.sampling.env_runner import _seeds

SCHEDULE = {"type": "PiecewiseSchedule", "endpoints": [[0, 1.0], [500, 0.1]], "outside_value": 0.1}
# By the settings as RLlib resolves them, and not by those that were given.
SETTINGS = {
    "DQN epsilon": ("DQN", {"exploration_config": {"epsilon_timesteps": 5000}}),
    "DQN schedule": ("DQN", {"exploration_config": {"epsilon_schedule": SCHEDULE}}),
    "DQN other schedule": ("DQN", {"exploration_config": {"epsilon_schedule": {**SCHEDULE, "interpolation": "x"}}}),
    "DQN draws": ("DQN", {"exploration_config": {"type": "StochasticSampling"}}),
    "PPO epsilon": ("PPO", {"exploration_config": {"type": "EpsilonGreedy"}}),
    "PPO draws": ("PPO", {"exploration_config": {"type": "StochasticSampling"}}),
    "PPO filter": ("PPO", {"observation_filter": "MeanStdFilter"}),
    "PPO memory": ("PPO", {"model": {"use_lstm": True}}),
    "PPO attention": ("PPO", {"model": {"use_attention": True}}),
    "PPO memory of rewards": ("PPO", {"model": {"use_lstm": True, "lstm_use_prev_reward": True}}),
    "IMPALA memory": ("IMPALA", {"model": {"use_lstm": True}}),
    "APPO memory": ("APPO", {"model": {"use_lstm": True}}),
    "PPO complete": ("PPO", {"batch_mode": "complete_episodes"}),
}
# A run, another seed, the run resumed, the env runner started again, another env runner.
STARTS = [(1, 0, 0, 1), (2, 0, 0, 1), (3, 0, 0, 1), (1, 5, 0, 1), (1, 0, 7, 1), (1, 0, 0, 2)]


# For how long RLlib waits for an env runner before it drops what it has, in seconds.
timeouts = []


def against(algo, given):
    ref = EnvRef("CartPole-v1")
    found = find(ref)
    spec = RunSpec(algo, "tf", ref, 1, given)
    config = configure(spec, Layout(1, 4, 0.0, 1), found)
    timeouts.append(config.sample_timeout_s)
    return against_sampling(spec, config, found)


if __name__ == "__main__":
    drawn = [_seeds(*start, 64) for start in STARTS]
    print(
        json.dumps(
            {
                "against": {name: against(*settings) for name, settings in SETTINGS.items()},
                "seeds": [seeds for seeds, _ in drawn],
                "policies": [float(random.random()) for _, random in drawn],
                "again": _seeds(*STARTS[0], 64)[0],
                "timeouts": timeouts,
            }
        )
    )

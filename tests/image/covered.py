"""Runs inside the image: which sampler and learner settings have, and which seeds are drawn; as one JSON object."""

import json
import os

from rlsif.private_api import NO_TENSORFLOW

os.environ[NO_TENSORFLOW] = "1"

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.build import against_sampling, configure
from rlsif.learning.compiled_async import uncompiled
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
    "PPO complete": ("PPO", {"batch_mode": "complete_episodes"}),
}
# With each of these RLlib learns itself, alone or beside others.
LEARNT_BY_RLLIB = {
    "learner_queue_size": 4, "learner_queue_timeout": 30, "num_gpu_loader_threads": 2,
    "timeout_s_sampler_manager": 0.1, "replay_proportion": 0.5, "opt_type": "rmsprop", "policies_to_train": [],
}  # fmt: skip
ON_GPUS = {"num_multi_gpu_tower_stacks": 2, "minibatch_buffer_size": 2}
# A run, another seed, the run resumed, the env runner started again, another env runner.
STARTS = [(1, 0, 0, 1), (2, 0, 0, 1), (3, 0, 0, 1), (1, 5, 0, 1), (1, 0, 7, 1), (1, 0, 0, 2)]
# A run, other seeds, the run resumed.
STARTS_OF_RLLIBS = [(1, 0), (2, 0), (3, 0), (1, 5), (1, 6)]


# For how long RLlib waits for an env runner before it drops what it has, in seconds.
timeouts = []


def against(algo, given):
    ref = EnvRef("CartPole-v1")
    found = find(ref)
    spec = RunSpec(algo, "tf", ref, 1, given)
    config = configure(spec, Layout(1, 4, 0.0, 1), found)
    timeouts.append(config.sample_timeout_s)
    return against_sampling(spec, config, found)


def learnt(algo, given, framework="tf", gpus=0.0, rllib_samples=None):
    """Why RLlib learns."""
    ref = EnvRef("CartPole-v1")
    layout = Layout(1, 4, gpus, 1, rllib_samples=rllib_samples)
    return uncompiled(configure(RunSpec(algo, framework, ref, 1, given), layout, find(ref)), recurrent=False)


def seed_of_rllibs(seed, resumed_at):
    """The seed of a run that RLlib samples."""
    ref = EnvRef("CartPole-v1")
    layout = Layout(1, 4, 0.0, 1, rllib_samples="asked", resumed_at=resumed_at)
    return configure(RunSpec("PPO", "tf", ref, seed, {}), layout, find(ref)).seed


if __name__ == "__main__":
    drawn = [_seeds(*start, 64) for start in STARTS]
    print(
        json.dumps(
            {
                "against": {name: against(*settings) for name, settings in SETTINGS.items()},
                "compiled": [learnt(algo, {"lr": 1e-3, "num_epochs": 2}) for algo in ("APPO", "IMPALA")],
                "learnt": {n: learnt("IMPALA", {n: v}) for n, v in LEARNT_BY_RLLIB.items()},
                "others": [
                    learnt("APPO", {}, framework="tf2"),
                    learnt("APPO", {}, gpus=2.0),
                    learnt("APPO", ON_GPUS, gpus=1.0),
                    learnt("IMPALA", {}, rllib_samples="asked"),
                    learnt("IMPALA", {"_tf_policy_handles_more_than_one_loss": False}),
                ],
                "seeds": [seeds for seeds, _ in drawn],
                "policies": [float(random.random()) for _, random in drawn],
                "again": _seeds(*STARTS[0], 64)[0],
                "timeouts": timeouts,
                "RLlib's": [seed_of_rllibs(*start) for start in STARTS_OF_RLLIBS],
                "RLlib's again": seed_of_rllibs(*STARTS_OF_RLLIBS[0]),
            }
        )
    )

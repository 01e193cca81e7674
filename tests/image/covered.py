"""Runs inside the image: which sampler and learner settings have, and which seeds are drawn; as one JSON object."""

import json
import os
from pathlib import Path

from rlsif.private_api import NO_TENSORFLOW

os.environ[NO_TENSORFLOW] = "1"

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.errors import InputError
from rlsif.learning.assignment import of_run
from rlsif.learning.build import against_sampling, configure
from rlsif.learning.catalogue import catalogue
from rlsif.learning.compiled_async import uncompiled
from rlsif.learning.spec import Layout, ManyPolicies, RunSpec
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
    "DQN memory": ("DQN", {"model": {"use_lstm": True}}),
    "PPO memory of actions": ("PPO", {"model": {"use_lstm": True, "lstm_use_prev_action": True}}),
    "PPO memory alone": ("PPO", {"model": {"use_lstm": True, "fcnet_hiddens": []}}),
    "PPO memory and more": ("PPO", {"model": {"use_lstm": True, "post_fcnet_hiddens": [8]}}),
    "PPO memory, complete": ("PPO", {"model": {"use_lstm": True}, "batch_mode": "complete_episodes"}),
}
DATA = Path(__file__).parents[1] / "data"
# A network with an LSTM for what else decides: an environment, its arguments, and a framework.
WITH_MEMORY = {
    "tf2": (EnvRef("CartPole-v1"), "tf2"),
    "images": (EnvRef("Seen-v0", {"seen": "image"}), "tf"),
    "images beside": (EnvRef("Seen-v0", {"seen": "both"}), "tf"),
    "a table": (EnvRef("Seen-v0", {"seen": "table"}), "tf"),
    "masks": (EnvRef(f"{DATA}/lamps.py:Lamps"), "tf"),
    "agents": (EnvRef(f"{DATA}/crowd.py:Crowd"), "tf"),
    "mixed actions": (EnvRef(f"{DATA}/aim.py:Aim"), "tf"),
}
# For two policies of different spaces.
TWO = ManyPolicies("a test", {"hunter_0": "hunter", "hunter_1": "hunter", "prey": "prey"}, ("hunter",))
OF_TWO = {
    "as it is": {}, "filter": {"observation_filter": "MeanStdFilter"}, "memory": {"model": {"use_lstm": True}},
    "agent steps": {"count_steps_by": "agent_steps"},
}  # fmt: skip
# With each of these RLlib learns itself, alone or beside others.
LEARNT_BY_RLLIB = {
    "learner_queue_size": 4, "learner_queue_timeout": 30, "num_gpu_loader_threads": 2,
    "timeout_s_sampler_manager": 0.1, "replay_proportion": 0.5, "opt_type": "rmsprop",
}  # fmt: skip
# A run, another seed, the run resumed, the env runner started again, another env runner.
STARTS = [(1, 0, 0, 1), (2, 0, 0, 1), (3, 0, 0, 1), (1, 5, 0, 1), (1, 0, 7, 1), (1, 0, 0, 2)]
# A run, other seeds, the run resumed.
STARTS_OF_RLLIBS = [(1, 0), (2, 0), (3, 0), (1, 5), (1, 6)]


# For how long RLlib waits for an env runner before it drops what it has, in seconds.
timeouts = []


SEEN = {"image": Box(0, 255, (10, 10, 3), np.uint8), "table": Box(-1, 1, (3, 2))}


class Seen(gymnasium.Env):
    """One step of what is seen."""

    action_space = Discrete(2)

    def __init__(self, seen):
        self.observation_space = Dict(SEEN) if seen == "both" else SEEN[seen]

    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, True, False, {}


def against(algo, given, ref=EnvRef("CartPole-v1"), framework="tf", policies=None):
    found = find(ref, of_run(policies))
    spec = RunSpec(algo, framework, ref, 1, given, policies)
    config = configure(spec, Layout(1, 4, 0.0, 1), found)
    timeouts.append(config.sample_timeout_s)
    return against_sampling(spec, config, found)


def learnt(algo, given, framework="tf", gpus=0.0, rllib_samples=None):
    """Why RLlib learns."""
    ref = EnvRef("CartPole-v1")
    layout = Layout(1, 4, gpus, 1, rllib_samples=rllib_samples)
    return uncompiled(configure(RunSpec(algo, framework, ref, 1, given), layout, find(ref)), recurrent=False)


def in_bf16(algo, given):
    """What is said of another precision; None where there is nothing against it."""
    ref = EnvRef("CartPole-v1")
    try:
        configure(RunSpec(algo, "tf", ref, 1, given), Layout(1, 4, 1.0, 1, precision="bf16"), find(ref))
    except InputError as problem:
        return str(problem)
    return None


def rows_of_an_update(algo):
    """Where a run says how many rows a batch has."""
    ref = EnvRef("Pendulum-v1")
    given = {"train_batch_size": 480, "rollout_fragment_length": 32}
    return configure(RunSpec(algo, "tf", ref, 1, given), Layout(1, 1, 0.0, 1), find(ref)).total_train_batch_size


def seed_of_rllibs(seed, resumed_at):
    """The seed of a run that RLlib samples."""
    ref = EnvRef("CartPole-v1")
    layout = Layout(1, 4, 0.0, 1, rllib_samples="asked", resumed_at=resumed_at)
    return configure(RunSpec("PPO", "tf", ref, seed, {}), layout, find(ref)).seed


if __name__ == "__main__":
    gymnasium.register("Seen-v0", Seen)
    memory = {"model": {"use_lstm": True}}
    drawn = [_seeds(*start, 64) for start in STARTS]
    print(
        json.dumps(
            {
                "against": {name: against(*settings) for name, settings in SETTINGS.items()},
                "compiled": [learnt(algo, {"lr": 1e-3, "num_epochs": 2}) for algo in ("APPO", "IMPALA")],
                "learnt": {n: learnt("IMPALA", {n: v}) for n, v in LEARNT_BY_RLLIB.items()},
                "others": [
                    learnt("APPO", {}, framework="tf2"),
                    learnt("APPO", {}, gpus=1.0),
                    learnt("IMPALA", {}, rllib_samples="asked"),
                    learnt("IMPALA", {"_tf_policy_handles_more_than_one_loss": False}),
                ],
                "rows of an update": {algo: rows_of_an_update(algo) for algo in catalogue() if algo != "DQN"},
                "in bf16": {
                    "PPO": in_bf16("PPO", {}),
                    "memory": in_bf16("PPO", {"model": {"use_lstm": True}}),
                    "DQN": in_bf16("DQN", {}),
                    "noise": in_bf16("DQN", {"noisy": True}),
                    "APPO": in_bf16("APPO", {"learner_queue_size": 8}),
                },
                "with memory": {name: against("PPO", memory, *what) for name, what in WITH_MEMORY.items()},
                "of two": {
                    name: against("PPO", given, EnvRef(f"{DATA}/hunt.py:Hunt"), policies=TWO)
                    for name, given in OF_TWO.items()
                },
                "seeds": [seeds for seeds, *_ in drawn],
                "policies": [float(random.random()) for _, *of_both in drawn for random in of_both],
                "again": _seeds(*STARTS[0], 64)[0],
                "timeouts": timeouts,
                "RLlib's": [seed_of_rllibs(*start) for start in STARTS_OF_RLLIBS],
                "RLlib's again": seed_of_rllibs(*STARTS_OF_RLLIBS[0]),
            }
        )
    )

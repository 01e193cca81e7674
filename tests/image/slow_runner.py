"""Runs inside the image: of two env runners one is slow; which rows of each a learner learns from, or stores for that.

Prints a JSON object for each kind of sampling: how many rows came of each env runner, whether they are all of its
steps, one after the other, how many env steps were counted, and the lengths of its episodes.
"""

import json
import tempfile
from pathlib import Path

from rlsif.cluster.ray_node import want_tensorflow

want_tensorflow()

# ruff: noqa: E402
import numpy as np
import ray

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec

# An observation tells the env runner, and how many steps its environment has made.
ENV = """
import time
import gymnasium
import numpy as np


class Paced(gymnasium.Env):
    observation_space, action_space = gymnasium.spaces.Box(0, 1e6, (2,)), gymnasium.spaces.Discrete(2)
    max_episode_steps = 10

    def __init__(self, config):
        self.runner, self.steps = config.worker_index, 0

    def reset(self, *, seed=None, options=None):
        return self.seen(), {}

    def step(self, action):
        time.sleep(0.02 if self.runner == 2 else 0)
        self.steps += 1
        return self.seen(), 1.0, False, False, {}

    def seen(self):
        return np.array([self.runner, self.steps], np.float32)
"""
PPO = {"train_batch_size": 100, "minibatch_size": 50, "num_epochs": 1}
QUICK = {"min_time_s_per_iteration": 0, "min_sample_timesteps_per_iteration": 100}
KINDS = {
    "PPO": ("PPO", PPO, None),
    "PPO by RLlib": ("PPO", {**PPO, "batch_mode": "complete_episodes"}, "asked"),
    "APPO": ("APPO", {**QUICK, "train_batch_size": 100, "rollout_fragment_length": 25}, None),
    "DQN": ("DQN", {**QUICK, "num_steps_sampled_before_learning_starts": 50}, None),
}
# So many rows of the slow one, in so many iterations at most.
ENOUGH, MOST = 150, 200


def watch(got):
    """Note the observations of all rows that a learner learns from, or stores for that."""
    from rlsif.learning.compiled_async import CompiledAsync
    from rlsif.learning.compiled_update import CompiledUpdate
    from rlsif.learning.replay_buffer import ArrayReplayBuffer

    def noted(kind, method, seen):
        theirs = getattr(kind, method)

        def mine(self, batch, *rest):
            got.extend(seen(batch))
            return theirs(self, batch, *rest)

        setattr(kind, method, mine)

    noted(CompiledUpdate, "__call__", lambda batch: [batch["obs"]])
    noted(CompiledAsync, "_learn", lambda batch: [each["obs"] for policies in batch[0] for each in policies.values()])
    noted(ArrayReplayBuffer, "add", lambda columns: [columns["obs"]])


def sampled(ref, got, algo, settings, rllib_samples):
    got.clear()
    learner = Learner()
    learner.build(RunSpec(algo, "tf", ref, 1, settings), Layout(2, 1, 0.0, 1, rllib_samples=rllib_samples), find(ref))
    got.clear()
    lengths, slow = set(), 0
    for _ in range(MOST):
        iteration = learner.step()
        lengths |= set(iteration["lengths"])
        rows = np.concatenate([np.zeros((0, 2)), *got])
        slow = int((rows[:, 0] == 2).sum())
        if slow >= ENOUGH:
            break
    learner.stop()
    steps = {runner: rows[rows[:, 0] == runner, 1] for runner in (1, 2)}
    return {
        "rows": [len(mine) for mine in steps.values()],
        "all in order": [bool(np.array_equal(mine, np.arange(len(mine)))) for mine in steps.values()],
        "counted": iteration["num_env_steps_sampled_lifetime"],
        "lengths": sorted(lengths),
    }


def main(folder):
    (folder / "paced.py").write_text(ENV)
    ref, got = EnvRef(f"{folder}/paced.py:Paced", {}, str(folder)), []
    find(ref)
    watch(got)
    return {kind: sampled(ref, got, *given) for kind, given in KINDS.items()}


if __name__ == "__main__":
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(main(Path(temporary))))

"""Runs inside the image: a learner after some iterations, and one with another gamma that has loaded its checkpoint.

Usage: seam.py FRAMEWORK ALGORITHM... Prints a JSON object for each algorithm: how many variables of TensorFlow the
learner has, which of them differ in the other, and which plain attributes of the policy do; the gammas of both; and the
returns of an evaluation of the first one, and of the other's that makes it up.
"""

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import numpy as np
import ray
from ray.rllib.utils.framework import try_import_tf

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Evaluation, Layout, RunSpec

OFF_POLICY = {"min_sample_timesteps_per_iteration": 60, "num_steps_sampled_before_learning_starts": 20}
tf1, _, _ = try_import_tf()
SETTINGS = {
    # A coefficient that moves with every update.
    "PPO": {"train_batch_size": 200, "minibatch_size": 50, "num_epochs": 2, "lr": 0.01, "kl_target": 1e-6},
    # The target network is behind the other.
    "DQN": {**OFF_POLICY, "lr": 0.01, "target_network_update_freq": 70},
    "SAC": {**OFF_POLICY, "train_batch_size": 16},
}


def built(spec):
    learner = Learner()
    layout = Layout(0, 1, 0.0, 1, local_mode=True, evaluation=Evaluation(1, 3, beside=False))
    learner.build_as_it_is_sampled(spec, layout, find(spec.env))
    return learner


def variables(policy):
    """All that TensorFlow keeps for a policy, by names that are the same in every learner."""
    session = policy.get_session()
    if session:
        with session.graph.as_default():
            found = tf1.global_variables()
        return dict(zip((v.name for v in found), session.run(found), strict=True))
    parts = {"model": policy.model.variables(), "optimizer": policy._optimizer.variables}
    parts["target"] = policy.target_model.variables() if hasattr(policy, "target_model") else []
    given = {name: part() if callable(part) else part for name, part in parts.items()}
    return {f"{name} {i}": v.numpy() for name, part in given.items() for i, v in enumerate(part)}


def compared(algo, framework):
    spec = RunSpec(algo, framework, EnvRef("CartPole-v1", {}, str(Path.cwd())), seed=1, hyperparameters=SETTINGS[algo])
    first = built(spec)
    first.step()
    first.step()
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as earlier:
        first.save(earlier)
        evaluated = first.step(evaluate=3)["evaluation"]
        first.save(folder)
        second = built(replace(spec, hyperparameters={**SETTINGS[algo], "gamma": 0.5}))
        untrained = variables(second._algorithm.get_policy())
        second.make_up(3, folder)
        made_up = second.evaluation()
        second.make_up(2, earlier)
        second.restore(folder)
    policies = [learner._algorithm.get_policy() for learner in (first, second)]
    one, other = map(variables, policies)
    plain = [{n: v for n, v in vars(p).items() if isinstance(v, (int, float)) and n[0] != "_"} for p in policies]
    return {
        "variables": len(one),
        "trained": sum(name not in untrained or not np.array_equal(untrained[name], one[name]) for name in one),
        "differ": [name for name in one if name not in other or not np.array_equal(one[name], other[name])],
        "attributes": [name for name in plain[0] if plain[0][name] != plain[1].get(name)],
        "gammas": [policy.config["gamma"] for policy in policies],
        "evaluations": [evaluated["returns"], made_up["returns"]],
    }


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    framework, *algos = sys.argv[1:]
    print(json.dumps({algo: compared(algo, framework) for algo in algos}))

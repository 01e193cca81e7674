"""Runs inside the image: a checkpoint loaded by a learner with other settings, as `train --resume --set` has it.

Usage: other_settings.py FRAMEWORK ALGORITHM... Prints a JSON object for each algorithm: the loss of a batch by the
learner that made the checkpoint, by one with other settings that has loaded it, and by a new one with those settings
and the weights of the checkpoint; and how far weights move in an
update by two rates of learning.
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

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.learner import Learner
from rlsif.learning.spec import Layout, RunSpec

OFF_POLICY = {"min_sample_timesteps_per_iteration": 60, "num_steps_sampled_before_learning_starts": 20}
SHORT = {"min_time_s_per_iteration": 0, "min_sample_timesteps_per_iteration": 200}
IN_PARTS = {"rollout_fragment_length": 50, "train_batch_size": 100, **SHORT}
# What an algorithm has at first, and what is set when it is resumed.
SETTINGS = {
    "PPO": (
        {"train_batch_size": 200, "minibatch_size": 50, "num_epochs": 8, "kl_coeff": 0.0},
        {"clip_param": 0.01, "vf_loss_coeff": 0.25, "entropy_coeff": 0.5, "vf_clip_param": 0.1},
    ),
    "DQN": (OFF_POLICY, {"gamma": 0.5, "td_error_loss_fn": "mse"}),
    "SAC": (OFF_POLICY, {"gamma": 0.5, "target_entropy": -3.0}),
    "APPO": (IN_PARTS, {"gamma": 0.5, "clip_param": 0.01, "vf_loss_coeff": 0.25, "entropy_coeff": 0.5}),
    "IMPALA": (IN_PARTS, {"gamma": 0.5, "vf_loss_coeff": 0.25, "entropy_coeff": 0.5}),
}
RATES = (1e-2, 1e-4)
SAC_RATES = ("actor_learning_rate", "critic_learning_rate", "entropy_learning_rate")


def built(spec):
    learner = Learner()
    learner.build_as_it_is_sampled(spec, Layout(0, 1, 0.0, 1, local_mode=True), find(spec.env))
    return learner


def policy_of(learner):
    return learner._algorithm.get_policy()


def loss(learner, batch):
    _, told = policy_of(learner).compute_gradients(batch.copy())
    return float(told["learner_stats"].get("total_loss", told["learner_stats"].get("loss", np.nan)))


def losses(learner, batch, algo):
    """The loss with a target network as the other is; of those that tell none as it is learned from, gradients."""
    if hasattr(policy_of(learner), "update_target"):
        policy_of(learner).update_target(tau=1.0)
    if algo not in ("DQN", "SAC", "IMPALA"):
        return loss(learner, batch)
    gradients, _ = policy_of(learner).compute_gradients(batch.copy())
    return float(sum(np.abs(gradient).sum() for gradient in flat(gradients)))


def flat(gradients):
    """IMPALA has those of each loss in a list."""
    for each in gradients:
        if isinstance(each, (list, tuple)):
            yield from flat(each)
        elif each is not None:
            yield np.asarray(each)


def moved(learner, batch):
    before = [np.array(w) for w in weights(learner)]
    policy_of(learner).learn_on_batch(batch.copy())
    return max(float(np.abs(a - b).max()) for a, b in zip(before, weights(learner), strict=True))


def weights(learner):
    given = policy_of(learner).get_weights()
    return list(given.values()) if isinstance(given, dict) else given


def at_rate(algo, settings, rate):
    changed = {"optimization": dict.fromkeys(SAC_RATES, rate)} if algo == "SAC" else {"lr": rate}
    return {**settings, **changed}


def compared(algo, framework):
    first_settings, given = SETTINGS[algo]
    fast, slow = (at_rate(algo, first_settings, rate) for rate in RATES)
    spec = RunSpec(algo, framework, EnvRef("CartPole-v1", {}, str(Path.cwd())), seed=1, hyperparameters=fast)
    first = built(spec)
    batch = first._algorithm.env_runner.sample().policy_batches["default_policy"]
    first.step()
    first.step()
    trained = policy_of(first).get_weights()
    other = replace(spec, hyperparameters={**slow, **given})
    new, resumed = built(other), built(other)
    policy_of(new).set_weights(trained)
    with tempfile.TemporaryDirectory() as folder:
        first.save(folder)
        resumed.restore(folder)
        found = [losses(each, batch, algo) for each in (first, resumed, new)]
        steps = []
        for settings in (fast, slow):
            stepping = built(replace(spec, hyperparameters=settings))
            stepping.restore(folder)
            steps.append(moved(stepping, batch))
    return {"losses": found, "steps": steps}


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    framework, *algos = sys.argv[1:]
    print(json.dumps({algo: compared(algo, framework) for algo in algos}))

"""Runs inside the image: a trial of a sweep takes over from another, as population-based training has it.

Prints a JSON object: how far the weights of the one that takes over were from the other's, and are; and the settings
that it trains with then.
"""

import json
import tempfile
from pathlib import Path

from rlsif.cluster.ray_node import want_tensorflow

want_tensorflow()

# ruff: noqa: E402
import numpy as np
import ray
from ray import tune

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.spec import Layout, RunSpec
from rlsif.sweep.trial import Trial
from rlsif.training.stopping import Stop

SMALL = {"train_batch_size": 200, "minibatch_size": 100, "num_epochs": 4}


def policy(trial):
    return trial._algorithm._algorithm.get_policy()


def distance(one, other):
    pairs = zip(one.get_weights().values(), other.get_weights().values(), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def iterations(trial):
    return [json.loads(line)["training_iteration"] for line in (trial._folder / "result.json").open()]


def main(folder):
    ref = EnvRef("CartPole-v1", {}, str(folder))
    given = {"spec": RunSpec("PPO", "tf", ref, 1, SMALL), "layout": Layout(0, 4, 0.0, 1, local_mode=True)}
    made = tune.with_parameters(Trial, **given, env=find(ref), stop=Stop(iters=9), folder=folder)
    better, worse = made(config={"lr": 0.01, "gamma": 0.9}), made(config={"lr": 1e-7, "gamma": 0.9})
    # As Tune numbers them.
    better._folder, worse._folder = folder / "better", folder / "worse"
    for trial, iterations_of_it in ((better, 5), (worse, 3)):
        for _ in range(iterations_of_it):
            trial.train()
    before = distance(policy(better), policy(worse))
    (folder / "taken").mkdir()
    better.save_checkpoint(str(folder / "taken"))
    worse.reset({"lr": 0.02, "gamma": 0.5})
    worse._folder = folder / "worse"
    worse.load_checkpoint(str(folder / "taken"))
    taken = policy(worse)
    after = distance(policy(better), taken)
    rate = float(taken.get_session().run(taken.cur_lr))
    worse.train()
    sampler = worse._algorithm._algorithm.env_runner._sampling.sampler
    return {
        "before": before,
        "after": after,
        "trains on": distance(policy(better), taken),
        "settings": [round(rate, 6), taken.config["gamma"], sampler._config["gamma"]],
        "iterations": iterations(worse),
    }


if __name__ == "__main__":
    ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(main(Path(temporary))))

"""Runs inside the image: trials of a sweep on one Ray; in env runners of two of them, environments fail or stand still.

Prints a JSON object: what each said of an iteration, and how each run ended.
"""

import errno
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

from rlsif.cluster.ray_node import want_tensorflow

want_tensorflow()

# ruff: noqa: E402
import ray
from ray import tune

from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.spec import Layout, RunSpec
from rlsif.sweep.trial import Trial
from rlsif.training.results import RunFiles
from rlsif.training.stopping import Stop

SMALL = {"train_batch_size": 200, "minibatch_size": 100, "num_epochs": 1}
ENV = """
import time
import gymnasium


class Reactor(gymnasium.Env):
    observation_space = action_space = gymnasium.spaces.Discrete(2)
    steps = 0

    def __init__(self, coolant):
        self.coolant = coolant

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        Reactor.steps += 1
        while Reactor.steps > self.coolant > 400:
            time.sleep(0.1)
        if Reactor.steps > self.coolant:
            raise ValueError("the reactor is out of coolant")
        return 0, 1.0, Reactor.steps % 20 == 0, False, {}
"""


def trial(folder, name, coolant):
    ref = EnvRef(f"{folder}/reactor.py:Reactor", {"coolant": coolant}, str(folder))
    given = {"spec": RunSpec("PPO", "tf", ref, 1, SMALL), "layout": Layout(1, 1, 0.0, 1)}
    kind = type("Named", (Trial,), {"trial_id": name})
    given |= {"env": find(ref), "stop": Stop(iters=9), "folder": folder, "patience": 15.0}
    return tune.with_parameters(kind, **given)(config={})


def iterated(trial):
    try:
        return trial.train()["training_iteration"]
    except Exception as problem:
        return str(problem).splitlines()


def main(folder):
    (folder / "reactor.py").write_text(ENV)
    coolant = {"fails": 300, "works": 10**9, "stands": 500}
    trials = {name: trial(folder, name, steps) for name, steps in coolant.items()}
    told = {name: [iterated(each), iterated(each)] for name, each in trials.items()}
    told["stands"].append(iterated(trials["stands"]))
    with patch.object(RunFiles, "write_summary", side_effect=OSError(errno.ENOSPC, "No space left on device")):
        told["fails"].append(iterated(trials["fails"]))
    for each in trials.values():
        each.stop()
    ended = {name: json.loads((folder / f"PPO_Reactor_{name}/summary.json").read_text()) for name in told}
    return {"told": told, "ended": {n: [e["state"], e["stop_reason"], e["checkpoint"]] for n, e in ended.items()}}


if __name__ == "__main__":
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False)
    with tempfile.TemporaryDirectory() as temporary:
        print(json.dumps(main(Path(temporary))))

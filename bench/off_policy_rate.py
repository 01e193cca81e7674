"""Ours: env steps and updates a second of DQN or SAC, with one env runner beside the learner.

Runs inside the image. Usage: off_policy_rate.py TASK SEED. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path

from bench.off_policy_tasks import SECONDS, TASKS, WARM_UP
from rlsif.cluster.ray_node import require_token
from rlsif.cluster.resources import Resources, available
from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.spec import Layout, RunSpec
from rlsif.training.learner_host import Host, host
from rlsif.training.process import noise_into

UPDATES = "info/learner/default_policy/num_grad_updates_lifetime"


def main(name: str, seed: int) -> None:
    """Measure and print."""
    task = TASKS[name]
    layout = Layout(1, 1, 0.0, len(os.sched_getaffinity(0)))
    spec = RunSpec(task.algo, "tf", EnvRef(task.env, code_folder=str(Path.cwd())), seed, task.settings)
    require_token()
    resources = Resources(2, 0, available().memory)
    with (
        tempfile.TemporaryDirectory() as folder,
        noise_into(Path(folder) / "noise"),
        host(resources, layout) as algorithm,
    ):
        algorithm.build(spec, layout, find(spec.env))
        figures = measured(algorithm)
    print(json.dumps(figures))


def measured(algorithm: Host) -> dict[str, float]:
    """The rates over some seconds after the warm-up."""
    before = now = counted(algorithm)
    while before[0] < WARM_UP:
        before = counted(algorithm)
    started = time.monotonic()
    while time.monotonic() - started < SECONDS:
        now = counted(algorithm)
    taken = time.monotonic() - started
    return {"env-steps/s": (now[0] - before[0]) / taken, "updates/s": (now[1] - before[1]) / taken}


def counted(algorithm: Host) -> tuple[int, float]:
    """Env steps and updates of the run after one more iteration."""
    iteration = algorithm.step(None, lambda: False)
    assert iteration is not None
    return iteration["num_env_steps_sampled_lifetime"], iteration["statistics"].get(UPDATES, 0.0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

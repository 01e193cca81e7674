"""How training grows with env runners: time to the first iteration, then steps a second and where the time goes.

Runs inside the image. Usage: growth.py ENV_RUNNERS ours|rllib STARTED, the last in seconds since the epoch, when the
command began. Prints one line of JSON. More env runners than cores show the overhead, not a gain.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rlsif.cluster.ray_node import require_token
from rlsif.cluster.resources import Resources, available
from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.hyperparameters import preset
from rlsif.learning.spec import Layout, RunSpec
from rlsif.training.learner_host import Host, host
from rlsif.training.process import noise_into

SECONDS = 8.0
UPDATES = "info/learner/default_policy/num_grad_updates_lifetime"
# By then XLA has compiled: see REPAID in rlsif/learning/xla.py, which would bring TensorFlow into this process.
COMPILED = 12_500
TIMERS = {"sampling": "sample_time_ms", "learning": "learn_time_ms", "sending weights": "synch_weights_time_ms"}


def main(env_runners: int, whose: str, began: float) -> None:
    """Measure and print."""
    settings = preset("PPO", "CartPole-v1")
    envs = settings.pop("num_envs_per_env_runner")
    against = None if whose == "ours" else "the bench asks for it"
    threads = len(os.sched_getaffinity(0))
    layout = Layout(env_runners, envs if whose == "ours" else 1, 0.0, threads, rllib_samples=against)
    spec = RunSpec("PPO", "tf", EnvRef("CartPole-v1", code_folder=str(Path.cwd())), seed=0, hyperparameters=settings)
    require_token()
    resources = Resources(env_runners + 1, 0, available().memory)
    with (
        tempfile.TemporaryDirectory() as folder,
        noise_into(Path(folder) / "noise"),
        host(resources, layout) as algorithm,
    ):
        algorithm.build(spec, layout, find(spec.env))
        iterated(algorithm)
        figures = {"first iteration, s": time.time() - began}
        figures |= measured(algorithm, after=COMPILED if whose == "ours" else 0)
    print(json.dumps(figures))


def measured(algorithm: Host, after: float) -> dict[str, float]:
    """Steps a second over some seconds, after so many updates, and the shares of the time in percent."""
    last = iterated(algorithm)
    while last["statistics"][UPDATES] < after:
        last = iterated(algorithm)
    steps, times = last["num_env_steps_sampled_lifetime"], dict.fromkeys(TIMERS, 0.0)
    iterations, started = 0, time.monotonic()
    while time.monotonic() - started < SECONDS:
        last = iterated(algorithm)
        iterations += 1
        for name, timer in TIMERS.items():
            times[name] += last["statistics"][f"timers/{timer}"] / 1000
    taken = time.monotonic() - started
    return {
        "env-steps/s": (last["num_env_steps_sampled_lifetime"] - steps) / taken,
        **{f"{name}, % of the time": 100 * seconds / taken for name, seconds in times.items()},
    }


def iterated(algorithm: Host) -> dict[str, Any]:
    """What one more iteration came to."""
    iteration = algorithm.step(None, lambda: False)
    assert iteration is not None
    return iteration


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))

"""The parts of a training apart, ours and RLlib's own, in turn: sampling, an env runner's memory, the update.

Runs inside the image. Usage: parts.py ROUNDS. Prints one line of JSON: name -> place -> figures of all rounds.
"""

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

# As `train` starts Ray: its workers leave TensorFlow to those who want it.
os.environ["RLLIB_TEST_NO_TF_IMPORT"] = "1"
logging.disable(logging.CRITICAL)

# ruff: noqa: E402
import numpy as np
import ray

SECONDS = 3.0
SPREAD = f"{Path(__file__).parents[1]}/examples/spread/spread.py:Spread"
# Environments that an env runner steps together, env steps of all of them in one batch, and arguments of each.
SAMPLING = {
    "CartPole-v1 (own vector entry point)": ("CartPole-v1", 256, 32_768, {}),
    "Acrobot-v1 (one after the other)": ("Acrobot-v1", 16, 4096, {}),
    "examples/spread with 3 agents": (SPREAD, 16, 2048, {"agents": 3}),
    "examples/spread with 30 agents": (SPREAD, 4, 512, {"agents": 30}),
}
# The update of a batch: rows, rows of a minibatch, epochs.
BATCH, MINIBATCH, EPOCHS = 8192, 512, 6
# The batch of APPO and IMPALA, as their presets have it.
ASYNC_BATCH = 2000


class Learner:
    """An algorithm in a process of its own, as `train` has it."""

    def __init__(
        self, env_id: str, envs: int, batch: int, arguments: dict, settings: dict, ours: bool, algo: str = "PPO"
    ) -> None:
        """Build it with one env runner, ours or RLlib's."""
        os.environ.pop("RLLIB_TEST_NO_TF_IMPORT", None)
        from rlsif.envs.find import find
        from rlsif.envs.reference import parse
        from rlsif.learning.build import build
        from rlsif.learning.spec import Layout, RunSpec

        model = {"fcnet_hiddens": [64, 64], "vf_share_layers": False}
        hyperparameters = {"train_batch_size": batch, "model": model, **settings}
        ref = parse(env_id, arguments, Path.cwd())
        spec = RunSpec(algo, "tf", ref, seed=0, hyperparameters=hyperparameters)
        against = None if ours else "the bench asks for it"
        self._algorithm = build(spec, Layout(1, envs, 0.0, 1, rllib_samples=against), find(spec.env))
        self._algorithm.env_runner_group.sync_weights()

    def sampling(self) -> dict[str, float]:
        """Env steps a second as they reach the learner, their bytes, and the env runner's memory in MB."""
        group = self._algorithm.env_runner_group
        group.foreach_env_runner(lambda w: w.sample(), local_env_runner=False)
        started, steps, batch = time.monotonic(), 0, None
        while time.monotonic() - started < SECONDS:
            [batch] = group.foreach_env_runner(lambda w: w.sample(), local_env_runner=False)
            steps += batch.env_steps()
        taken = time.monotonic() - started
        [resident] = group.foreach_env_runner(lambda _: _resident_mb(), local_env_runner=False)
        columns = batch.policy_batches["default_policy"] if hasattr(batch, "policy_batches") else batch
        size = sum(np.asarray(column).nbytes for column in columns.values()) / batch.env_steps()
        return {"env-steps/s": steps / taken, "bytes a step": size, "memory, MB": resident}

    def update(self) -> dict[str, float]:
        """Samples a second through all epochs of an update: in one call, and minibatch by minibatch as RLlib does."""
        from ray.rllib.execution.train_ops import multi_gpu_train_one_step
        from ray.rllib.policy.sample_batch import SampleBatch

        rows, algorithm = _rows(BATCH, "advantages", "value_targets"), self._algorithm
        ways = {
            "ours": lambda: algorithm._updates["default_policy"](SampleBatch(rows), EPOCHS, MINIBATCH),
            "rllib": lambda: multi_gpu_train_one_step(algorithm, SampleBatch(rows).as_multi_agent()),
        }
        return {name: _rate(way, BATCH, 3) for name, way in ways.items()}

    def asynchronous_update(self) -> dict[str, float]:
        """The same for APPO and IMPALA, whose batch RLlib's learner thread learns in one step."""
        from ray.rllib.policy.sample_batch import SampleBatch

        rows, algorithm = _rows(ASYNC_BATCH, "rewards", "values_bootstrapped"), self._algorithm
        rows = {**rows, "terminateds": np.zeros(ASYNC_BATCH, bool), "agent_index": np.zeros(ASYNC_BATCH, np.int8)}
        policy, minibatches = algorithm.get_policy(), algorithm._minibatches(ASYNC_BATCH)

        def theirs() -> None:
            policy.load_batch_into_buffer(SampleBatch(rows))
            policy.learn_on_loaded_batch()

        ways = {"ours": lambda: algorithm._update.learn(rows, minibatches), "rllib": theirs}
        return {name: _rate(way, ASYNC_BATCH, 100) for name, way in ways.items()}


def _rows(count: int, *others: str) -> dict[str, np.ndarray]:
    """Rows of CartPole-v1, random, with other columns of numbers."""
    random = np.random.default_rng(0)
    return {
        "obs": random.normal(size=(count, 4)).astype(np.float32),
        "actions": random.integers(0, 2, count),
        "action_dist_inputs": random.normal(size=(count, 2)).astype(np.float32),
        **{name: random.normal(size=count).astype(np.float32) for name in others},
        "action_logp": np.full(count, -0.7, np.float32),
    }


def _rate(way: Callable[[], object], rows: int, times: int) -> float:
    """Rows a second, after a first time."""
    way()
    started = time.monotonic()
    for _ in range(times):
        way()
    return times * rows / (time.monotonic() - started)


def _resident_mb() -> float:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def main(rounds: int) -> None:
    """Measure and print."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    figures: dict[str, dict[str, list[float]]] = {}

    def keep(name: str, place: str, value: float) -> None:
        figures.setdefault(name, {}).setdefault(place, []).append(value)

    def started(*arguments: object) -> object:
        return ray.remote(Learner).options(num_cpus=1).remote(*arguments)

    for _ in range(rounds):
        for name, (env_id, envs, batch, arguments) in SAMPLING.items():
            for place in ("ours", "rllib"):
                ours = place == "ours"
                learner = started(env_id, envs if ours else min(envs, 8), batch, arguments, {}, ours)
                for what, value in ray.get(learner.sampling.remote()).items():
                    keep(f"{name}: {what}", place, value)
                ray.kill(learner)
        learner = started("CartPole-v1", 8, BATCH, {}, {"minibatch_size": MINIBATCH, "num_epochs": EPOCHS}, True)
        for place, value in ray.get(learner.update.remote()).items():
            keep("update of 2x64, batch 8192, minibatch 512, 6 epochs: samples/s", place, value)
        ray.kill(learner)
        for algo in ("APPO", "IMPALA"):
            learner = started("CartPole-v1", 8, ASYNC_BATCH, {}, {}, True, algo)
            for place, value in ray.get(learner.asynchronous_update.remote()).items():
                keep(f"update of {algo}, 2x64, batch {ASYNC_BATCH}: samples/s", place, value)
            ray.kill(learner)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(int(sys.argv[1]))

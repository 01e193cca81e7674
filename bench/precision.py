"""Samples per second of PPO's whole update on a GPU, with hidden layers that multiply in float32 and in bf16.

Runs where TensorFlow sees a GPU, within a minute: `python -m bench.precision`. XLA compiles all updates side by side;
then each is timed alone. Prints one line of JSON for each. `--scale 0.05` takes fewer rows, to try it on CPU cores.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import zlib
from typing import Any

from rlsif.learning.rllib import import_rllib

import_rllib()

# ruff: noqa: E402
import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium.spaces import Box, Discrete

from rlsif import private_api
from rlsif.envs.find import find
from rlsif.envs.reference import EnvRef
from rlsif.learning.build import configure
from rlsif.learning.compiled_update import CompiledUpdate
from rlsif.learning.spec import BF16, FLOAT32, Layout, RunSpec

# Nature's convolutions, and its 512 units.
NATURE = {
    "conv_filters": [[32, [8, 8], 4], [64, [4, 4], 2], [64, [3, 3], 1], [512, [11, 11], 1]],
    "conv_activation": "relu", "vf_share_layers": True,
}  # fmt: skip
# By the network: an environment, the network's settings, rows, rows of a minibatch, and epochs.
CASES: dict[str, tuple[str, dict[str, Any], int, int, int]] = {
    "2 x 64": ("CartPole-v1", {"fcnet_hiddens": [64, 64]}, 65_536, 4_096, 4),
    "2 x 1024": ("CartPole-v1", {"fcnet_hiddens": [1024, 1024]}, 65_536, 4_096, 4),
    "images 84x84x4": ("Frames-v0", NATURE, 4_096, 512, 2),
}
SECONDS, LEAST = 2.0, 3


class Frames(gymnasium.Env[Any, Any]):
    """Has the spaces of Atari's frames."""

    observation_space, action_space = Box(0, 255, (84, 84, 4), np.uint8), Discrete(6)


class Update:
    """The update of one network in one precision, and rows for it."""

    def __init__(self, name: str, precision: str, scale: float) -> None:
        """Build it, and have XLA compile it beside what this process does."""
        self.name, self.precision = name, precision
        env, model, rows, size, epochs = CASES[name]
        rows, size = max(64, int(rows * scale)), max(32, int(size * scale))
        policy = policy_of(env, model, precision)
        self._update = CompiledUpdate(policy, 0)
        self._columns = columns(policy, rows)
        self._rows = np.concatenate([np.random.permutation(rows)[: rows // size * size] for _ in range(epochs)])
        self._rows = self._rows.reshape(-1, size)
        self._update.warm_up(size)

    def timed(self) -> dict[str, Any]:
        """Samples per second, the median of several calls, and the loss of the first."""
        told, took = self._update.learn(self._columns, self._rows), []
        ends = time.perf_counter() + SECONDS
        while len(took) < LEAST or time.perf_counter() < ends:
            began = time.perf_counter()
            self._update.learn(self._columns, self._rows)
            took.append(time.perf_counter() - began)
        rate = self._rows.size / statistics.median(took)
        return {
            "network": self.name, "precision": self.precision, "samples_per_s": round(rate), "calls": len(took),
            "total_loss": told["total_loss"], "kl": told["kl"],
        }  # fmt: skip


def policy_of(env: str, model: dict[str, Any], precision: str) -> Any:
    """RLlib's policy of PPO, with its session."""
    ref = EnvRef(env)
    layout = Layout(0, 1, 1.0, len(os.sched_getaffinity(0)), local_mode=True, precision=precision)
    config = configure(RunSpec("PPO", "tf", ref, 0, {"model": model}), layout, find(ref))
    config.validate()
    settings = tf.compat.v1.ConfigProto(**{**config.tf_session_args, **config.local_tf_session_args})
    kind = config.algo_class.get_default_policy_class(config)
    with tf.Graph().as_default(), tf.compat.v1.Session(config=settings).as_default():
        return kind(config.observation_space, config.action_space, config.to_dict())


def columns(policy: Any, rows: int) -> dict[str, Any]:
    """Random rows."""
    made: dict[str, Any] = {}
    for name, given in private_api.loss_inputs(policy).items():
        random, shape = np.random.default_rng(zlib.crc32(name.encode())), (rows, *given.shape.as_list()[1:])
        kind = given.dtype.as_numpy_dtype
        if name == "actions":
            made[name] = random.integers(policy.action_space.n, size=shape).astype(kind)
        elif kind == np.uint8:
            made[name] = random.integers(0, 256, shape, np.uint8)
        elif name in ("action_logp", "action_dist_inputs"):
            made[name] = (0.01 * random.normal(size=shape) - (name == "action_logp")).astype(kind)
        else:
            made[name] = random.normal(size=shape).astype(kind)
    return made


if __name__ == "__main__":
    scale = float(sys.argv[2]) if sys.argv[1:2] == ["--scale"] else 1.0
    began = time.perf_counter()
    gymnasium.register("Frames-v0", Frames)
    tf.compat.v1.disable_eager_execution()
    private_api.leave_out_towers()
    devices = [device.name for device in tf.config.list_physical_devices("GPU")]
    updates = [Update(name, precision, scale) for name in CASES for precision in (FLOAT32, BF16)]
    for update in updates:
        print(json.dumps({**update.timed(), "gpus": devices, "after_s": time.perf_counter() - began}), flush=True)

"""Runs inside the image: updates in bf16 beside those in float32, from the same weights and rows, on CPU cores.

Prints a JSON object: by algorithm, of how many products of the update hidden layers and others have which type, the
greatest difference of statistics between both, relative to their size, and which types variables have.
"""

import json
import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))

import numpy as np

from rlsif.learning import compiled_update
from rlsif.learning.compiled_replay import CompiledReplay
from rlsif.learning.compiled_update import CompiledUpdate
from rlsif.learning.xla import NEVER
from rlsif.sampling.env_runner import Sampling
from tests.image import same_sampler
from tests.image.same_sampler import policy_of
from tests.image.same_updates import FOLLOWS, PPO, SAC, batches, filled

PRODUCTS = ("MatMul", "Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
CASES = {
    "PPO": ("PPO", "CartPole-v1", {**PPO, "model": {"fcnet_hiddens": [64, 64]}}),
    "PPO images": ("PPO", "Pixels4x20-v0", {**PPO, "lr": 1e-4, "model": {"conv_activation": "tanh"}}),
    "SAC": ("SAC", "Pendulum-v1", SAC),
}


def products(policy):
    """How many products of which type the graph has, those of its functions included."""
    graph = policy.get_session().graph.as_graph_def()
    nodes = [*graph.node, *(node for function in graph.library.function for node in function.node_def)]
    # The number that stands for a type in TensorFlow's files.
    return Counter({1: "float32", 14: "bf16"}[node.attr["T"].type] for node in nodes if node.op in PRODUCTS)


def updated(algo, env_id, settings, precision):
    policy, config, _ = policy_of(algo, env_id, precision, **settings)
    before = products(policy)
    if algo == "SAC":
        mine = CompiledReplay(policy, xla=False)
        statistics, _ = mine(batches(policy), FOLLOWS)
    else:
        sampler = Sampling(config, 0).sampler
        sampler.set_weights({n: w * np.float32(0.9) for n, w in policy.get_weights().items()})
        batch, mine = filled(policy, sampler.sample()), CompiledUpdate(policy, 0 if env_id == "CartPole-v1" else NEVER)
        np.random.seed(3)
        statistics = mine.learn(batch, compiled_update._minibatches(len(batch["obs"]), 2, 64))
    with policy.get_session().graph.as_default():
        import tensorflow as tf

        types = {v.dtype.base_dtype.name for v in tf.compat.v1.global_variables() if "step" not in v.name}
    return {name: np.asarray(values, float) for name, values in statistics.items()}, products(policy) - before, types


def compared(*case):
    (exact, of_float32, _), (near, of_bf16, types) = (updated(*case, precision) for precision in ("float32", "bf16"))
    # By how far the statistics of one are from those of the other, beside their greatest number.
    differences = {
        name: float(np.abs(near[name] - exact[name]).max() / max(1.0, np.abs(exact[name]).max())) for name in exact
    }
    return {"float32": of_float32, "bf16": of_bf16, "types": sorted(types), "differences": differences}


if __name__ == "__main__":
    same_sampler.own_class()
    same_sampler.pixel_classes()
    print(json.dumps({name: compared(*case) for name, case in CASES.items()}))

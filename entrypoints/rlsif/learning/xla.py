"""XLA: which updates it compiles, and when; and the first call, in which it does, beside what the process does else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from math import inf, prod
from typing import Any

from ray.rllib.models.tf.tf_modelv2 import TFModelV2
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api

_, tf, _ = try_import_tf()

NEVER = inf
# On a CPU core, TensorFlow's own loop takes about 0.15 ms longer for an update, whatever its rows, and XLA takes 1.8 s
# to compile another. After so many updates it has cost as much as it would to compile from the start.
REPAID = 12_000
# Rows of an update times the numbers in the network's weights. Of a larger one XLA gains at most a third, and with
# threads on cores that others use, too, it takes up to twice as long.
LARGE = 9_000_000
# Operations that begin like this draw random numbers.
DRAWING = ("Random", "TruncatedNormal", "ParameterizedTruncatedNormal", "Multinomial")


def begins(policy: Any, config: Any, rows: int) -> float:
    """After how many updates, of minibatches of so many rows, XLA compiles those of a policy: at once with a GPU.

    A GPU takes less time for the operations of a small update than it takes to launch them one by one. On CPUs XLA has
    slower convolutions than TensorFlow. Random numbers of XLA would not go by the run's seed; with a
    GPU none do.
    """
    if config.num_gpus:
        return 0
    weights = [variable.shape.as_list() for variable in policy.model.trainable_variables()]
    convolutions = any(len(shape) > 2 for shape in weights)
    threads = config.local_tf_session_args["intra_op_parallelism_threads"]
    large = threads > 1 and rows * sum(prod(shape) for shape in weights) > LARGE
    return NEVER if convolutions or large or _draws(policy) else REPAID


def _draws(policy: Any) -> bool:
    """Whether the loss of a policy draws random numbers."""
    left = [tensor.op for tensor in tf.nest.flatten(private_api.statistics_fetches(policy))]
    seen = set(left)
    while left:
        op = left.pop()
        if op.type.startswith(DRAWING):
            return True
        before = {*(tensor.op for tensor in op.inputs), *op.control_inputs} - seen
        seen |= before
        left += before
    return False


@contextlib.contextmanager
def in_any_graph() -> Iterator[None]:
    """Let models be called inside of functions; RLlib's go back to the graph that they were made in."""
    theirs = TFModelV2.context
    TFModelV2.context = lambda _: contextlib.nullcontext()
    try:
        yield
    finally:
        TFModelV2.context = theirs


class FirstCall:
    """The first call of what XLA compiles, made beside what this process does until it is needed."""

    def __init__(self, call: Callable[[], object], what: str) -> None:
        """Begin; `what` is compiled, in words, stands in the log with the time that it took."""
        self._call, self._what, self._failed = call, what, False
        self._thread = threading.Thread(target=self._make, daemon=True)
        self._thread.start()

    def succeeded(self) -> bool:
        """Whether XLA could compile it; waits until that is known."""
        self._thread.join()
        return not self._failed

    def _make(self) -> None:
        began = time.monotonic()
        try:
            self._call()
        except tf.errors.OpError as problem:
            tell_failure(problem)
            self._failed = True
        else:
            print(f"XLA compiled {self._what} in {time.monotonic() - began:.1f} s", flush=True)


def tell_failure(problem: Exception) -> None:
    """Say in one line why updates run without XLA."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    # TensorFlow's own begins with where it was met.
    [said] = [line for line in lines if "Detected unsupported" in line][:1] or lines[-1:] or [type(problem).__name__]
    print(f"XLA cannot compile the updates, which run without it: {said}", flush=True)

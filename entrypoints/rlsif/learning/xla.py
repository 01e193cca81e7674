"""XLA: which updates it compiles, and when; and the first call, in which it does, beside what the process does else."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from ray.rllib.models.tf.tf_modelv2 import TFModelV2
from ray.rllib.utils.framework import try_import_tf

_, tf, _ = try_import_tf()

NEVER = inf
# On a CPU core, so many samples learned take about three times as long as XLA takes to compile, and half of it after.
REPAID = 3_000_000


def begins(policy: Any, num_gpus: float, on_cpus: float) -> float:
    """How many samples are learned before XLA compiles a policy's updates: at once with a GPU, else `on_cpus`.

    A GPU takes longer to be told of the operations of a small update than to make it; of one of XLA's it is told once.
    Of convolutions XLA makes slower code for CPUs than TensorFlow has.
    """
    if num_gpus:
        return 0
    convolutions = any(len(variable.shape) > 2 for variable in policy.model.trainable_variables())
    return NEVER if convolutions else on_cpus


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
    first = next(iter(str(problem).splitlines()), "") or type(problem).__name__
    print(f"XLA cannot compile the updates, which run without it: {first}", flush=True)

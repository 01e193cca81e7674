"""A loop of updates in a policy's graph, which XLA compiles beside other work, where it can."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api

_, tf, _ = try_import_tf()


class Loop:
    """What a function of tensors makes, added to a policy's graph once or, where XLA fails, twice."""

    def __init__(self, policy: Any, function: Callable[..., Any], inputs: tuple[Any, ...], xla: bool) -> None:
        """`inputs` are what the function takes: placeholders of the policy's graph, or mappings of them."""
        self._policy, self._function, self._inputs, self._xla = policy, function, inputs, xla
        self._models = [getattr(policy, name) for name in ("model", "target_model") if hasattr(policy, name)]
        self._warming: threading.Thread | None = None
        self._told, self._without_xla = self._built(xla), False

    def run(self, feed: Mapping[Any, Any]) -> Any:
        """Values of what the function gives."""
        if self._warming:
            self._warming.join()
        if self._without_xla:
            # Not in the thread that found it: building changes the policy for a moment.
            self._told, self._without_xla = self._built(xla=False), False
        return self._policy.get_session().run(self._told, feed)

    def warm_up(self, nothing: Mapping[Any, Any], what: str) -> None:
        """Have XLA compile for these shapes, beside what this process does until the first run.

        `nothing` makes no update; `what` names what is compiled.
        """
        if not self._xla:
            return
        self._warming = threading.Thread(target=self._compile, args=(nothing, what), daemon=True)
        self._warming.start()

    def _compile(self, nothing: Mapping[Any, Any], what: str) -> None:
        began = time.monotonic()
        try:
            self._policy.get_session().run(self._told, nothing)
        except tf.errors.OpError as problem:
            print(
                f"XLA does not compile the updates, which go on without it: {str(problem).splitlines()[0]}", flush=True
            )
            self._without_xla = True
        else:
            print(f"{what} in one call were compiled in {time.monotonic() - began:.1f} s", flush=True)

    def _built(self, xla: bool) -> Any:
        """The function in the policy's graph."""
        policy = self._policy
        # The loss leaves tensors on the policy, by which RLlib's own step finds them.
        with (
            policy.get_session().graph.as_default(),
            private_api.attributes_kept(policy, *self._models),
            _in_any_graph(*self._models),
        ):
            function = tf.function(self._function, jit_compile=True, autograph=False) if xla else self._function
            return function(*self._inputs)


def zeros(placeholders: Mapping[str, Any], *shape: int) -> dict[Any, Any]:
    """Zeros for each placeholder; `shape` are its first dimensions."""
    return {p: np.zeros((*shape, *p.shape[len(shape) :]), p.dtype.as_numpy_dtype) for p in placeholders.values()}


@contextlib.contextmanager
def _in_any_graph(*models: Any) -> Iterator[None]:
    """Let models be called inside of functions; RLlib's go back to the graph that they were made in."""
    graphs = [model.graph for model in models]
    for model in models:
        model.graph = None
    try:
        yield
    finally:
        for model, graph in zip(models, graphs, strict=True):
            model.graph = graph

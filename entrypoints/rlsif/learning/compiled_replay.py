"""Updates from a replay buffer as one loop inside TensorFlow's graph.

RLlib calls `session.run` for every update, which takes longer than the update. Loss, gradients, clipping, optimizer
and target network are the policy's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api
from rlsif.learning.precision import multiplying
from rlsif.learning.xla import FirstCall, in_any_graph

tf1, tf, _ = try_import_tf()

Array = NDArray[Any]


class CompiledReplay:
    """Updates a policy of framework "tf" that has a target network and no state."""

    def __init__(self, policy: Any, xla: bool) -> None:
        """Add the loop to the policy's graph; `xla` compiles it at the first call for each number of updates."""
        self._policy = policy
        with policy.get_session().graph.as_default():
            # Only what the loss reads; one batch for each update.
            self._data = {
                name: tf1.placeholder(given.dtype, [None, *given.shape.as_list()], name=f"replayed_{name}")
                for name, given in private_api.loss_inputs(policy).items()
                if given.consumers()
            }
            # Whether the target network follows after each update, and how many are made of those there are data for.
            self._follows = tf1.placeholder(tf.bool, [None], name="replayed_follows")
            self._count = tf1.placeholder(tf.int32, [], name="replayed_count")
        self._first_call: FirstCall | None = None
        self._xla, self._told = xla, self._built(xla)

    @property
    def columns(self) -> list[str]:
        """The columns that the loss reads."""
        return list(self._data)

    def __call__(self, columns: Mapping[str, Array], follows: NDArray[np.bool_]) -> tuple[dict[str, Array], Array]:
        """Make an update of each batch; columns are [updates, rows, ...].

        `follows`, [updates], says after which updates the target network follows. Gives the policy's statistics,
        [updates], each before its update, and the TD errors, [updates, rows].
        """
        policy = self._policy
        feed = {placeholder: columns[name] for name, placeholder in self._data.items()}
        if self._first_call and not self._first_call.succeeded():
            self._told, self._first_call = self._built(xla=False), None
        told: tuple[dict[str, Array], Array]
        told = policy.get_session().run(self._told, {**feed, self._follows: follows, self._count: len(follows)})
        policy.num_grad_updates += len(follows)
        return told

    def warm_up(self, updates: int, rows: int) -> None:
        """Have XLA compile so many updates of so many rows, beside what this process does until the first call."""
        if not self._xla:
            return
        feed = {p: np.zeros((updates, rows, *p.shape[2:]), p.dtype.as_numpy_dtype) for p in self._data.values()}
        nothing = {**feed, self._follows: np.zeros(updates, bool), self._count: 0}
        session = self._policy.get_session()
        self._first_call = FirstCall(lambda: session.run(self._told, nothing), f"{updates} updates in one call")

    def _built(self, xla: bool) -> Any:
        """The loop in the policy's graph."""
        policy = self._policy
        # The loss leaves tensors on the policy, by which RLlib's own step finds them.
        with (
            policy.get_session().graph.as_default(),
            private_api.attributes_kept(policy, policy.model, policy.target_model),
            in_any_graph(),
            multiplying(policy),
        ):
            loop = tf.function(self._loop, jit_compile=True, autograph=False) if xla else self._loop
            return loop(self._data, self._follows, self._count)

    def _loop(self, data: Mapping[str, Any], follows: Any, count: Any) -> tuple[dict[str, Any], Any]:
        """Statistics and TD errors of the first `count` updates."""
        names = [name for name in private_api.statistics_names(self._policy) if name != "model"]
        updates = tf.shape(follows)[0]

        def step(number: Any, statistics: Any, errors: Any) -> tuple[Any, Any, Any]:
            told, error, update = self._update({name: column[number] for name, column in data.items()}, follows[number])
            values = tf.stack([tf.cast(told[name], tf.float32) for name in names])
            with tf.control_dependencies([update]):
                return number + 1, statistics.write(number, values), errors.write(number, error)

        # One after the other, for each needs the weights that the one before has left.
        start = [0, tf.TensorArray(tf.float32, updates), tf.TensorArray(tf.float32, updates)]
        _, statistics, errors = tf.while_loop(lambda number, *_: number < count, step, start, parallel_iterations=1)
        return dict(zip(names, tf.unstack(tf.transpose(statistics.stack()), len(names)), strict=True)), errors.stack()

    def _update(self, columns: Mapping[str, Any], follows: Any) -> tuple[dict[str, Any], Any, Any]:
        """Statistics, TD errors, and the update of one batch."""
        policy = self._policy
        if hasattr(policy.model, "log_alpha"):
            # SAC's temperature; RLlib's tensor of it is computed once, before all updates.
            policy.model.alpha = tf.exp(policy.model.log_alpha)
        batch = private_api.training_batch(columns)
        optimizer = private_api.optimizer(policy)
        loss = private_api.loss(policy, batch)
        statistics, error = private_api.statistics(policy, batch), private_api.td_error(policy)
        gradients = [(g, v) for g, v in policy.gradients(optimizer, loss) if g is not None]
        # The statistics are of the weights before the update.
        with tf.control_dependencies([*statistics.values(), error]):
            update = policy.build_apply_op(optimizer, gradients)
        with tf.control_dependencies([update]):
            return statistics, error, tf.cond(follows, self._follow, tf.no_op)

    def _follow(self) -> Any:
        """Move the target network towards the policy's, by `tau`."""
        policy = self._policy
        tau = np.float32(policy.config.get("tau") or 1.0)
        pairs = zip(policy.target_model.trainable_variables(), policy.model.trainable_variables(), strict=True)
        return tf.group([target.assign(tau * of + (1 - tau) * target) for target, of in pairs])


def together(name: str, values: Array) -> float:
    """One number of those of several updates, as RLlib reduces those of several minibatches."""
    reduce = {"min": np.min, "max": np.max}.get(name.partition("_")[0], np.mean)
    return float(reduce(values))

"""The epochs and minibatches of a policy's update as one loop inside TensorFlow's graph.

RLlib calls `session.run` for every minibatch, which takes longer than the minibatch. Loss, gradients, clipping and
optimizer are the policy's own; what differs is that every epoch draws its minibatches from all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api
from rlsif.errors import InputError
from rlsif.learning.precision import multiplying
from rlsif.learning.xla import NEVER, FirstCall, in_any_graph, tell_failure

tf1, tf, _ = try_import_tf()

# So many minibatches, or as many as are so many bytes, are gathered together for what XLA compiles.
MOST_TOGETHER, BYTES_TOGETHER = 64, 64 * 2**20


class CompiledUpdate:
    """Updates a policy of framework "tf" that has one loss and no state."""

    def __init__(self, policy: Any, xla_begins: float = NEVER) -> None:
        """Add the loop to the policy's graph; after `xla_begins` updates XLA compiles another."""
        self._policy, self._xla_begins = policy, xla_begins
        with policy.get_session().graph.as_default():
            # Only what the loss reads; the data stays on the device for all minibatches.
            self._data = {
                name: tf1.placeholder(given.dtype, given.shape, name=f"update_{name}")
                for name, given in private_api.loss_inputs(policy).items()
                if given.consumers()
            }
            # Which rows are in each minibatch, [minibatches, rows]. On a GPU, int32 stays in the host's memory, and
            # would cross for each column of each minibatch.
            self._rows = tf1.placeholder(tf.int64, [None, None], name="update_rows")
            # How many minibatches there are; the rest of the rows fills up what XLA has made room for.
            self._count = tf1.placeholder(tf.int32, [], name="update_count")
        self._made, self._size, self._room = 0, 0, 0
        self._first_call: FirstCall | None = None
        self._by_xla: Any = None
        self._plain = self._built(self._loop) if xla_begins else None

    def __call__(self, batch: SampleBatch, epochs: int, minibatch_size: int) -> dict[str, float]:
        """Go through the batch; give the means of the policy's statistics over all minibatches."""
        return self.learn(batch, _minibatches(len(batch), epochs, minibatch_size))

    @property
    def columns(self) -> list[str]:
        """The columns that the loss reads."""
        return list(self._data)

    def learn(self, batch: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> dict[str, float]:
        """The same with the rows of each minibatch given, [minibatches, rows]."""
        policy, (count, size) = self._policy, rows.shape
        self.warm_up(size)
        feed = {placeholder: batch[name] for name, placeholder in self._data.items()}
        if self._is_compiled(size):
            statistics = self._by_xla
            rows = np.concatenate([rows, np.zeros((-count % self._room, size), np.int64)])
        else:
            statistics = self._without_xla()
        told = policy.get_session().run(statistics, {**feed, self._rows: rows, self._count: count})
        policy.num_grad_updates += count
        self._made += count
        return {name: float(total) / count for name, total in told.items()}

    def warm_up(self, size: int) -> None:
        """Have XLA compile minibatches of so many rows, where it is time; beside what is done until the next update.

        Minibatches of another number of rows are learned without XLA, which would compile each number anew.
        """
        if self._first_call or self._made < self._xla_begins:
            return
        row = sum(p.dtype.size * prod(p.shape.as_list()[1:]) for p in self._data.values())
        self._size, self._room = size, max(1, min(MOST_TOGETHER, BYTES_TOGETHER // (size * row)))
        try:
            # Within a loop of the graph itself, functions do not find variables.
            self._by_xla = self._built(tf.function(self._loop_of_xla, autograph=False))
        except InputError:
            raise
        # A user's network may raise anything where it is called in a function.
        except Exception as problem:
            tell_failure(problem)
            self._xla_begins = NEVER
            return
        self._first_call = FirstCall(self._learn_nothing, f"minibatches of {size:,} rows")

    def _learn_nothing(self) -> None:
        """Call what XLA compiles without a minibatch."""
        feed = {p: np.zeros((1, *p.shape[1:]), p.dtype.as_numpy_dtype) for p in self._data.values()}
        rows = np.zeros((self._room, self._size), np.int64)
        self._policy.get_session().run(self._by_xla, {**feed, self._rows: rows, self._count: 0})

    def _is_compiled(self, size: int) -> bool:
        return bool(self._first_call and self._first_call.succeeded() and size == self._size)

    def _without_xla(self) -> Any:
        """The loop of TensorFlow's own, in the graph from when it is needed first."""
        if self._plain is None:
            self._plain = self._built(self._loop)
        return self._plain

    def _built(self, loop: Callable[[], Any]) -> Any:
        """A loop in the policy's graph: the sums of the statistics over all minibatches, each before its update."""
        policy = self._policy
        models = [getattr(policy, name) for name in ("model", "target_model") if hasattr(policy, name)]
        # The loss leaves tensors on the policy, by which RLlib's own step finds them.
        with (
            policy.get_session().graph.as_default(),
            private_api.attributes_kept(policy, *models),
            in_any_graph(),
            multiplying(policy),
        ):
            return dict(zip(self._names(), tf.unstack(loop(), len(self._names())), strict=True))

    def _names(self) -> list[str]:
        # "model" is what a custom model would add.
        return [name for name in private_api.statistics_names(self._policy) if name != "model"]

    def _loop(self) -> Any:
        """Each minibatch gathered when it is learned."""
        none = tf.zeros([len(self._names())])
        return self._each(self._count, lambda number: self._taken(self._rows[number]), none)

    def _loop_of_xla(self) -> Any:
        """As many minibatches as there is room for gathered together, and learned in one call of what XLA compiles.

        So it compiles one shape, whatever the rows of a batch.
        """

        def compiled(columns: Mapping[str, Any], count: Any, totals: Any) -> Any:
            return self._each(count, lambda number: {name: each[number] for name, each in columns.items()}, totals)

        learn = tf.function(compiled, jit_compile=True, autograph=False)

        def step(begin: Any, totals: Any) -> tuple[Any, Any]:
            end = begin + self._room
            columns = self._taken(self._rows[begin:end])
            return end, learn(columns, tf.minimum(self._room, self._count - begin), totals)

        start = [0, tf.zeros([len(self._names())])]
        given = tf.shape(self._rows)[0]
        return tf.while_loop(lambda begin, _: begin < given, step, start, parallel_iterations=1)[1]

    def _each(self, count: Any, minibatch: Callable[[Any], dict[str, Any]], totals: Any) -> Any:
        """Learn minibatches; give `totals` with their statistics."""

        def step(number: Any, totals: Any) -> tuple[Any, Any]:
            statistics, update = self._update(minibatch(number))
            values = tf.stack([tf.cast(statistics[name], tf.float32) for name in self._names()])
            with tf.control_dependencies([update]):
                return number + 1, totals + values

        # One after the other, for each needs the weights that the one before has left.
        return tf.while_loop(lambda number, _: number < count, step, [0, totals], parallel_iterations=1)[1]

    def _taken(self, rows: Any) -> dict[str, Any]:
        return {name: _taken(data, rows) for name, data in self._data.items()}

    def _update(self, columns: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Statistics and update of a minibatch."""
        policy, minibatch = self._policy, private_api.training_batch(columns)
        of_gradients, apply = self._gradients(policy.loss(policy.model, policy.dist_class, minibatch), minibatch)
        statistics = {**policy.stats_fn(minibatch), **of_gradients}
        # The statistics are of the weights before the update.
        with tf.control_dependencies(list(statistics.values())):
            return statistics, apply()

    def _gradients(self, loss: Any, minibatch: SampleBatch) -> tuple[dict[str, Any], Callable[[], Any]]:
        """The statistics of the gradients of a minibatch, and what makes their update."""
        policy, optimizer = self._policy, private_api.optimizer(self._policy)
        gradients = [(g, v) for g, v in policy.gradients(optimizer, loss) if g is not None]
        statistics = policy.grad_stats_fn(minibatch, [g for g, _ in gradients])
        return statistics, lambda: policy.build_apply_op(optimizer, gradients)


def _taken(data: Any, rows: Any) -> Any:
    """These rows of a column, of one minibatch or several.

    TensorFlow gathers bytes on CPUs alone, and each minibatch of images would cross to a GPU; eight together it gathers
    on both.
    """
    shape = data.shape.as_list()[1:]
    size = prod(shape)
    if data.dtype != tf.uint8 or size % 8:
        return tf.gather(data, rows)
    eights = tf.bitcast(tf.reshape(data, [-1, size // 8, 8]), tf.int64)
    taken = tf.bitcast(tf.gather(eights, rows), tf.uint8)
    return tf.reshape(taken, tf.concat([tf.shape(rows), shape], axis=0))


def _minibatches(rows: int, epochs: int, size: int) -> NDArray[np.int64]:
    """Which rows are in each minibatch, [minibatches, rows]: drawn anew for each epoch, what is left over stays out."""
    size = min(size, rows)
    whole = rows // size * size
    return np.concatenate([np.random.permutation(rows)[:whole].reshape(-1, size) for _ in range(epochs)])

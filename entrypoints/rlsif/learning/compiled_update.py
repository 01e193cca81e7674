"""The epochs and minibatches of a policy's update as one loop inside TensorFlow's graph.

RLlib calls `session.run` for every minibatch, which takes longer than the minibatch. Loss, gradients, clipping and
optimizer are the policy's own; what differs is that every epoch draws its minibatches from all rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api

tf1, tf, _ = try_import_tf()


class CompiledUpdate:
    """Updates a policy of framework "tf" that has one loss and no state."""

    def __init__(self, policy: Any) -> None:
        """Add the loop to the policy's graph."""
        self._policy = policy
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
            self._statistics = self._loop()

    def __call__(self, batch: SampleBatch, epochs: int, minibatch_size: int) -> dict[str, float]:
        """Go through the batch; give the means of the policy's statistics over all minibatches."""
        return self.learn(batch, _minibatches(len(batch), epochs, minibatch_size))

    @property
    def columns(self) -> list[str]:
        """The columns that the loss reads."""
        return list(self._data)

    def learn(self, batch: Mapping[str, NDArray[Any]], rows: NDArray[np.int64]) -> dict[str, float]:
        """The same with the rows of each minibatch given, [minibatches, rows]."""
        policy = self._policy
        feed = {placeholder: batch[name] for name, placeholder in self._data.items()}
        statistics = policy.get_session().run(self._statistics, {**feed, self._rows: rows})
        policy.num_grad_updates += len(rows)
        return {name: float(total) / len(rows) for name, total in statistics.items()}

    def _loop(self) -> dict[str, Any]:
        """The sums of the statistics over all minibatches, each after its update."""
        # "model" is what a custom model would add.
        names = [name for name in private_api.statistics_names(self._policy) if name != "model"]

        def step(number: Any, totals: Any) -> tuple[Any, Any]:
            statistics, update = self._minibatch(self._rows[number])
            values = tf.stack([tf.cast(statistics[name], tf.float32) for name in names])
            with tf.control_dependencies([update]):
                return number + 1, totals + values

        count = tf.shape(self._rows)[0]
        # One after the other, for each needs the weights that the one before has left.
        start = [0, tf.zeros([len(names)])]
        totals = tf.while_loop(lambda number, _: number < count, step, start, parallel_iterations=1)[1]
        return dict(zip(names, tf.unstack(totals, len(names)), strict=True))

    def _minibatch(self, rows: Any) -> tuple[dict[str, Any], Any]:
        """Statistics and update of the minibatch of these rows."""
        policy = self._policy
        columns = {name: _taken(data, rows) for name, data in self._data.items()}
        minibatch = private_api.training_batch(columns)
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
    """These rows of a column.

    TensorFlow gathers bytes on CPUs alone, and each minibatch of images would cross to a GPU; eight together it gathers
    on both.
    """
    shape = data.shape.as_list()[1:]
    size = int(np.prod(shape))
    if data.dtype != tf.uint8 or size % 8:
        return tf.gather(data, rows)
    eights = tf.bitcast(tf.reshape(data, [-1, size // 8, 8]), tf.int64)
    return tf.reshape(tf.bitcast(tf.gather(eights, rows), tf.uint8), [-1, *shape])


def _minibatches(rows: int, epochs: int, size: int) -> NDArray[np.int64]:
    """Which rows are in each minibatch, [minibatches, rows]: drawn anew for each epoch, what is left over stays out."""
    size = min(size, rows)
    whole = rows // size * size
    return np.concatenate([np.random.permutation(rows)[:whole].reshape(-1, size) for _ in range(epochs)])

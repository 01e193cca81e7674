"""The epochs and minibatches of APPO's and IMPALA's updates as one loop inside TensorFlow's graph.

V-trace, loss, gradients, clipping and optimizers are the policy's own. RLlib makes one call for each pass over a batch;
of a batch that is larger than `minibatch_size`, it learns the first rows alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api
from rlsif.learning.xla import Loop, zeros

tf1, tf, _ = try_import_tf()


class CompiledVTrace:
    """Updates an APPO or IMPALA policy of framework "tf" that has no state."""

    def __init__(self, policy: Any, xla: bool) -> None:
        """Add the loop to the policy's graph; `xla` compiles it at the first call for each shape of a batch."""
        self._policy = policy
        with policy.get_session().graph.as_default():
            # Only what the loss reads; the data stays on the device for all minibatches.
            self._data = {
                name: tf1.placeholder(given.dtype, given.shape, name=f"vtrace_{name}")
                for name, given in private_api.loss_inputs(policy).items()
                if given.consumers()
            }
            # Which rows are in each minibatch, [minibatches, rows], and how many of the minibatches are learned.
            self._rows = tf1.placeholder(tf.int32, [None, None], name="vtrace_rows")
            self._count = tf1.placeholder(tf.int32, [], name="vtrace_count")
        # "model" is what a custom model would add.
        self._names = [name for name in private_api.statistics_names(policy) if name != "model"]
        self._totals = Loop(policy, self._loop, (self._data, self._rows, self._count), xla)

    @property
    def columns(self) -> list[str]:
        """The columns that the loss reads."""
        return list(self._data)

    def __call__(self, columns: Mapping[str, NDArray[Any]], minibatches: NDArray[np.int64]) -> dict[str, float]:
        """Learn minibatches of rows of a batch; give the means of the policy's statistics over them.

        `minibatches`, [minibatches, rows], has whole stretches of `rollout_fragment_length` rows.
        """
        feed = {placeholder: columns[name] for name, placeholder in self._data.items()}
        totals = self._totals.run({**feed, self._rows: minibatches, self._count: len(minibatches)})
        self._policy.num_grad_updates += len(minibatches)
        return {name: float(total) / len(minibatches) for name, total in zip(self._names, totals, strict=True)}

    def warm_up(self, rows: int, minibatches: NDArray[np.int64]) -> None:
        """Have XLA compile for batches of so many rows, beside what this process does until the first call."""
        nothing = {self._rows: minibatches, self._count: 0}
        self._totals.warm_up({**zeros(self._data, rows), **nothing}, f"{len(minibatches)} updates of a batch")

    def _loop(self, data: Mapping[str, Any], rows: Any, count: Any) -> Any:
        """The sums of the statistics over all minibatches, each of the weights before its update."""

        def step(number: Any, totals: Any) -> tuple[Any, Any]:
            statistics, update = self._minibatch({name: tf.gather(each, rows[number]) for name, each in data.items()})
            values = tf.stack([tf.cast(statistics[name], tf.float32) for name in self._names])
            with tf.control_dependencies([update]):
                return number + 1, totals + values

        # One after the other, for each needs the weights that the one before has left.
        start = [0, tf.zeros([len(self._names)])]
        return tf.while_loop(lambda number, _: number < count, step, start, parallel_iterations=1)[1]

    def _minibatch(self, columns: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Statistics and update of a minibatch."""
        policy, optimizers = self._policy, private_api.optimizers(self._policy)
        minibatch = SampleBatch(columns, _is_training=True)
        loss = policy.loss(policy.model, policy.dist_class, minibatch)
        # A group for each optimizer: one, or those of policy and value function.
        groups = [[(g, v) for g, v in group if g is not None] for group in policy.gradients(optimizers, loss)]
        gradients = [g for group in groups for g, _ in group]
        statistics = {**policy.stats_fn(minibatch), "grad_gnorm": tf.linalg.global_norm(gradients)}
        with tf.control_dependencies(list(statistics.values())):
            return statistics, policy.build_apply_op(optimizers, groups)


def minibatches(rows: int, length: int, batch: int, size: int | None, epochs: int) -> NDArray[np.int64]:
    """Which rows are in each minibatch, [minibatches, rows], of stretches of `length` rows, which stay whole.

    With a `size`, each epoch draws them anew from all stretches, and what is left over stays out. Without one, a
    minibatch is as large as a `batch` is, or a little larger: environments of many agents have several in a batch.
    """
    stretches = rows // length
    each = max(1, min(size // length, stretches)) if size else stretches // max(1, rows // batch)
    whole = stretches // each
    random = np.random if whole > 1 else None
    orders = [random.permutation(stretches) if random else np.arange(stretches) for _ in range(epochs)]
    chosen = np.concatenate([order[: whole * each].reshape(whole, each) for order in orders])
    return (chosen[:, :, None] * length + np.arange(length)).reshape(len(chosen), each * length)

"""The epochs and minibatches of APPO's and IMPALA's updates as one loop inside TensorFlow's graph.

V-trace, loss, gradients, clipping and optimizers are the policy's own. RLlib makes one call for each pass over a batch;
of a batch that is larger than `minibatch_size`, it learns the first rows alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.framework import try_import_tf

from rlsif import private_api
from rlsif.learning.compiled_update import CompiledUpdate

_, tf, _ = try_import_tf()


class CompiledVTrace(CompiledUpdate):
    """Updates an APPO or IMPALA policy of framework "tf" that has no state, and a loss for each optimizer."""

    def _gradients(self, loss: Any, minibatch: SampleBatch) -> tuple[dict[str, Any], Callable[[], Any]]:
        policy, optimizers = self._policy, private_api.optimizers(self._policy)
        # A group for each optimizer: one, or those of policy and value function.
        groups = [[(g, v) for g, v in group if g is not None] for group in policy.gradients(optimizers, loss)]
        norm = tf.linalg.global_norm([g for group in groups for g, _ in group])
        return {"grad_gnorm": norm}, lambda: policy.build_apply_op(optimizers, groups)


def minibatches(rows: int, length: int, batch: int, size: int | None, epochs: int) -> NDArray[np.int64]:
    """Which rows are in each minibatch, [minibatches, rows], of stretches of `length` rows, which stay whole.

    Each epoch draws them anew from all stretches, and what is left over stays out. Without a `size`, a minibatch is as
    large as a `batch` is, or a little larger: environments of many agents have several in a batch.
    """
    stretches = rows // length
    each = max(1, min(size // length, stretches)) if size else stretches // max(1, rows // batch)
    whole = stretches // each * each
    chosen = np.concatenate([np.random.permutation(stretches)[:whole].reshape(-1, each) for _ in range(epochs)])
    return (chosen[:, :, None] * length + np.arange(length)).reshape(len(chosen), each * length)

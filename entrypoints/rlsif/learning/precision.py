"""In which precision the layers of a network multiply in compiled updates.

With bf16 Keras' hidden layers, fully connected and convolutional, multiply numbers of bfloat16. Weights, biases,
activations, the layers that give outputs, losses and optimizers stay in float32, as sampling and checkpoints do: a loss
compares log-probabilities with those of the sampler, which bfloat16 knows to two digits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from ray.rllib.utils.framework import try_import_tf

from rlsif.errors import InputError
from rlsif.learning.spec import FLOAT32

_, tf, _ = try_import_tf()


@contextlib.contextmanager
def multiplying(policy: Any) -> Iterator[None]:
    """Have the network of a policy multiply as its run asks, where an update is built. Raises InputError."""
    if policy.config["rlsif"].precision == FLOAT32:
        yield
        return
    layers: list[str] = []
    dense, convolution = tf.keras.layers.Dense, tf.keras.layers.Conv2D
    of_dense, of_convolution = dense.call, convolution.convolution_op

    def call(layer: Any, inputs: Any) -> Any:
        if not _is_hidden(layer) or inputs.shape.rank != 2:
            return of_dense(layer, inputs)
        layers.append(layer.name)
        outputs = _in_bf16(tf.matmul)(inputs, layer.kernel)
        return layer.activation(tf.nn.bias_add(outputs, layer.bias) if layer.use_bias else outputs)

    def convolution_op(layer: Any, inputs: Any, kernel: Any) -> Any:
        if not _is_hidden(layer):
            return of_convolution(layer, inputs, kernel)
        layers.append(layer.name)
        return _in_bf16(lambda *given: of_convolution(layer, *given))(inputs, kernel)

    dense.call, convolution.convolution_op = call, convolution_op
    try:
        yield
    finally:
        dense.call = of_dense
        # It is of the base of all convolutions.
        del convolution.convolution_op
    if not layers:
        raise InputError(
            "--precision bf16 is for Dense and Conv2D layers of Keras that have an activation, and the network has"
            " none; leave it out"
        )


def _is_hidden(layer: Any) -> bool:
    return layer.activation is not tf.keras.activations.linear


def _in_bf16(product: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def of(inputs: Any, weights: Any) -> Any:
        return tf.cast(product(tf.cast(inputs, tf.bfloat16), tf.cast(weights, tf.bfloat16)), tf.float32)

    return of

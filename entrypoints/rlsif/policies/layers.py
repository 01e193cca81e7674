"""The layers that networks are made of, in NumPy, found among RLlib's weights by the names that RLlib gives them.

Where RLlib sends a list (framework tf2), layers are found by the order in which its model has its variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional, Union

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
# Kernel and bias [outputs]; a kernel is [inputs, outputs], of a convolution [height, width, channels, outputs].
Layer = tuple[Array, Array]
Activation = Callable[[Array], Array]
# As RLlib's policies give them: arrays by the names of their variables, or with tf2 in their order.
Weights = Union[Mapping[str, Any], Sequence[Any]]

SQRT_HALF = np.float32(0.5**0.5)
ERF_P = np.float32(0.3275911)
ERF_A = np.array([0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429], np.float32)


def relu(x: Array) -> Array:
    """The positive part, in place."""
    return np.maximum(x, 0, out=x)


def _tanh(x: Array) -> Array:
    return np.tanh(x, out=x)


def _linear(x: Array) -> Array:
    return x


def _gelu(x: Array) -> Array:
    """Each number times the share of a normal distribution below it; as tf.nn.gelu, without its approximation by tanh.

    NumPy has no error function. This one is 7.1.26 of Abramowitz and Stegun, off by at most 1.5e-7.
    """
    size = np.abs(x) * SQRT_HALF
    t = 1 / (1 + ERF_P * size)
    beyond = np.exp(-size * size) * t / 2
    beyond *= (((ERF_A[4] * t + ERF_A[3]) * t + ERF_A[2]) * t + ERF_A[1]) * t + ERF_A[0]
    below: Array = np.where(x > 0, 1 - beyond, beyond)
    below *= x
    return below


# Each may change its argument in place. None is RLlib's other name of a linear one.
ACTIVATIONS: Mapping[Optional[str], Activation] = {
    "tanh": _tanh, "relu": relu, "linear": _linear, "gelu": _gelu, None: _linear,
}  # fmt: skip


def dense(x: Array, layer: Layer) -> Array:
    """One layer without its activation: [n, inputs] to [n, outputs]."""
    kernel, bias = layer
    out = x @ kernel
    out += bias
    return out


def through(x: Array, layers: Iterable[Layer], activation: Activation) -> Array:
    """Dense layers one after the other, each with its activation."""
    for layer in layers:
        x = activation(dense(x, layer))
    return x


def as_dense(layer: Layer) -> Layer:
    """A convolution that sees its whole input at once, or one place of it, as the dense layer that it is."""
    kernel, bias = layer
    return kernel.reshape(-1, kernel.shape[-1]), bias


def layers_of(weights: Weights, order: Iterable[str]) -> dict[str, Layer]:
    """Kernel and bias of each layer by its name, those of a list in the order given.

    Names that TensorFlow has made up for want of one, `dense`, `dense_1`, ..., are numbered by their order here.
    Raises ValueError for weights that are not those of such layers.
    """
    if isinstance(weights, Mapping):
        kernels = {_layer(name): value for name, value in weights.items() if name.partition(":")[0].endswith("kernel")}
        biases = {_layer(name): value for name, value in weights.items() if name.partition(":")[0].endswith("bias")}
    else:
        names = list(order)
        kernels, biases = dict(zip(names, weights[::2])), dict(zip(names, weights[1::2]))
        if 2 * len(names) != len(weights):
            raise ValueError(f"{len(weights)} weights are not those of the layers {', '.join(names)}")
    found = {name: _layer_of(name, kernel, biases.get(name)) for name, kernel in kernels.items()}
    unnamed = [name for name in found if name.rpartition("/")[2].split("_")[0] == "dense"]
    return {**found, **{f"dense_{number}": found[name] for number, name in enumerate(unnamed)}}


def _layer(variable: str) -> str:
    """`fc_1` of `default_policy/fc_1/kernel:0`."""
    return variable.split("/")[-2]


def _layer_of(name: str, kernel: Any, bias: Any) -> Layer:
    kernel, bias = np.ascontiguousarray(kernel, np.float32), np.asarray(bias, np.float32)
    if kernel.ndim not in (2, 4) or bias.shape != kernel.shape[-1:]:
        raise ValueError(
            f"{name} has weights of shapes {kernel.shape} and {bias.shape}, not those of a dense layer or a convolution"
        )
    return kernel, bias


def by_depth(*paths: Sequence[str]) -> list[str]:
    """The layers of paths that lead to a model's outputs, in the order in which Keras has their variables.

    The one that is farthest from an output comes first; an empty name stands for a layer without weights.
    """
    longest = max(len(path) for path in paths)
    ordered = [path[-depth] for depth in range(longest, 0, -1) for path in paths if depth <= len(path)]
    return [name for name in dict.fromkeys(ordered) if name]

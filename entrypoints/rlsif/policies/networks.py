"""The forward pass of RLlib's fully connected TensorFlow models, in NumPy from their weights.

After ray/rllib/models/tf/fcnet.py and ray/rllib/algorithms/dqn/distributional_q_tf_model.py. Weights come as
RLlib sends them: kernel and bias of each layer, in the order in which the model makes its variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Layer = tuple[Array, Array]
Activation = Callable[[Array], Array]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x)


def _tanh(x: Array) -> Array:
    return np.tanh(x, out=x)


def _linear(x: Array) -> Array:
    return x


ACTIVATIONS: Mapping[str, Activation] = {"tanh": _tanh, "relu": _relu, "linear": _linear}


def _dense(x: Array, layer: Layer) -> Array:
    kernel, bias = layer
    out = x @ kernel
    out += bias
    return out


def _through(x: Array, layers: Iterable[Layer], activation: Activation) -> Array:
    for layer in layers:
        x = activation(_dense(x, layer))
    return x


def _layers(weights: Mapping[str, Any] | list[Any]) -> Iterator[Layer]:
    """Kernel and bias of each layer. Raises ValueError for a shape that is none of a dense layer."""
    arrays = [np.asarray(w, np.float32) for w in (weights.values() if isinstance(weights, Mapping) else weights)]
    for kernel, bias in zip(arrays[::2], arrays[1::2], strict=True):
        if kernel.ndim != 2 or bias.shape != kernel.shape[1:]:
            raise ValueError(f"weights of shapes {kernel.shape} and {bias.shape} are not those of a dense layer")
        yield np.ascontiguousarray(kernel), bias


class ActorCritic:
    """Policy and value function of PPO, APPO and IMPALA."""

    def __init__(self, model: Mapping[str, Any], weights: Mapping[str, Any] | list[Any]) -> None:
        """Take RLlib's model settings, and the weights as its policy gives them."""
        self._activation = ACTIVATIONS[model["fcnet_activation"]]
        depth = len(model["fcnet_hiddens"])
        layers = list(_layers(weights))
        *hidden, self._policy_out, self._value_out = layers
        if model["vf_share_layers"]:
            self._policy, self._value = hidden, None
        else:
            self._policy, self._value = hidden[::2], hidden[1::2]
        if len(self._policy) != depth or (self._value is not None and len(self._value) != depth):
            raise ValueError(f"{len(layers)} layers are not those of a model of {depth} hidden ones")

    def forward(self, observations: Array) -> tuple[Array, Array]:
        """Logits [n, outputs] and values [n] of observations [n, features]."""
        features = _through(observations, self._policy, self._activation)
        logits = _dense(features, self._policy_out)
        if self._value is not None:
            features = _through(observations, self._value, self._activation)
        return logits, _dense(features, self._value_out)[:, 0]

    def values(self, observations: Array) -> Array:
        """Values [n] of observations [n, features]."""
        layers = self._policy if self._value is None else self._value
        return _dense(_through(observations, layers, self._activation), self._value_out)[:, 0]


class QNetwork:
    """The action values of DQN."""

    def __init__(
        self, model: Mapping[str, Any], hiddens: list[int], dueling: bool, weights: Mapping[str, Any] | list[Any]
    ) -> None:
        """Take RLlib's settings of the model and of DQN's own layers, and the weights as its policy gives them."""
        self._activation = ACTIVATIONS[model["fcnet_activation"]]
        layers = list(_layers(weights))
        # With layers of DQN's own, the last of the model's is its output, and has an activation.
        depth = len(model["fcnet_hiddens"])
        self._features = layers[:depth]
        self._model_out = None if hiddens else layers[depth]
        # The model's value head follows, which DQN does not use.
        rest = layers[depth + (1 if hiddens else 2) :]
        self._advantage = rest[: len(hiddens) + 1] if hiddens else []
        self._value = rest[len(self._advantage) :]
        if len(self._value) != (len(hiddens) + 1 if dueling else 0):
            raise ValueError(f"{len(layers)} layers are not those of a Q-model with hiddens {hiddens}")

    def forward(self, observations: Array) -> Array:
        """Action values [n, actions] of observations [n, features]."""
        features = _through(observations, self._features, self._activation)
        if self._model_out is not None:
            features = _dense(features, self._model_out)
        advantages = _head(features, self._advantage)
        if not self._value:
            return advantages
        values: Array = _head(features, self._value) + advantages - advantages.mean(axis=1, keepdims=True)
        return values


def _head(features: Array, layers: list[Layer]) -> Array:
    """One of DQN's two streams: hidden layers with ReLU, and one without."""
    if not layers:
        return features
    *hidden, last = layers
    return _dense(_through(features, hidden, _relu), last)

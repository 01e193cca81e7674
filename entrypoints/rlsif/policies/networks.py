"""The forward pass of RLlib's fully connected TensorFlow models, in NumPy from their weights.

After ray/rllib/models/tf/fcnet.py and ray/rllib/algorithms/dqn/distributional_q_tf_model.py. A layer is found by the
name that RLlib gives its kernel and bias; where RLlib sends a list (framework tf2), by the order in which its model
makes its variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Layer = tuple[Array, Array]
Activation = Callable[[Array], Array]
# As RLlib's policies give them: arrays by the names of their variables, or with tf2 in their order.
Weights = Union[Mapping[str, Any], Sequence[Any]]


def _relu(x: Array) -> Array:
    return np.maximum(x, 0, out=x)


def _tanh(x: Array) -> Array:
    return np.tanh(x, out=x)


def _linear(x: Array) -> Array:
    return x


# Each may change its argument in place.
ACTIVATIONS: Mapping[str, Activation] = {"tanh": _tanh, "relu": _relu, "linear": _linear}
# Of an illegal action. RLlib's own, by which its mean of advantages and its EpsilonGreedy know such actions.
ILLEGAL_VALUE = np.finfo(np.float32).min
# What of RLlib's model settings these networks have, beside what stands at its default.
MODEL: Mapping[str, Callable[[Any], bool]] = {
    "fcnet_hiddens": lambda given: len(given) > 0,
    "fcnet_activation": lambda given: given in ACTIVATIONS,
    "vf_share_layers": lambda given: isinstance(given, bool),
}
# Settings of RLlib's that decide nothing for a network without convolutions and memory.
WITHOUT_EFFECT = {
    "conv_filters", "conv_activation", "dim", "grayscale", "zero_mean", "framestack", "max_seq_len",
    "lstm_cell_size", "lstm_use_prev_action", "lstm_use_prev_reward", "_time_major", "post_fcnet_activation",
    "custom_model_config", "custom_preprocessor", "fcnet_weights_initializer", "_disable_preprocessor_api",
    "_disable_action_flattening", "lstm_use_prev_action_reward",
}  # fmt: skip


def unsupported(model: Mapping[str, Any], defaults: Mapping[str, Any]) -> str | None:
    """Why a model of RLlib's is not one of these networks, in a few words; None where it is.

    `model` are all of RLlib's settings of it, `defaults` those that RLlib has without any of the user's.
    """
    for name, given in model.items():
        accepts = MODEL.get(name)
        if accepts and not accepts(given):
            return f"model.{name} is {given}"
        changes_nothing = name in WITHOUT_EFFECT or name.startswith(("attention_", "encoder_", "head_", "conv_"))
        if not accepts and not changes_nothing and given != defaults.get(name):
            return f"model.{name} is {given}"
    return None


def _dense(x: Array, layer: Layer) -> Array:
    kernel, bias = layer
    out = x @ kernel
    out += bias
    return out


def _through(x: Array, layers: Iterable[Layer], activation: Activation) -> Array:
    for layer in layers:
        x = activation(_dense(x, layer))
    return x


def _layers(weights: Weights, order: Iterable[str]) -> dict[str, Layer]:
    """Kernel and bias of each layer by its name, those of a list in the order given.

    Names that TensorFlow has made up for want of one, `dense`, `dense_1`, ..., are numbered by their order here.
    Raises ValueError for weights that are not those of dense layers.
    """
    if isinstance(weights, Mapping):
        kernels = {_layer(name): value for name, value in weights.items() if name.partition(":")[0].endswith("kernel")}
        biases = {_layer(name): value for name, value in weights.items() if name.partition(":")[0].endswith("bias")}
    else:
        names = list(order)
        kernels, biases = dict(zip(names, weights[::2])), dict(zip(names, weights[1::2]))
        if 2 * len(names) != len(weights):
            raise ValueError(f"{len(weights)} weights are not those of the layers {', '.join(names)}")
    found = {name: _dense_layer(name, kernel, biases.get(name)) for name, kernel in kernels.items()}
    unnamed = [name for name in found if name.rpartition("/")[2].split("_")[0] == "dense"]
    return {**found, **{f"dense_{number}": found[name] for number, name in enumerate(unnamed)}}


def _layer(variable: str) -> str:
    """`fc_1` of `default_policy/fc_1/kernel:0`."""
    return variable.split("/")[-2]


def _dense_layer(name: str, kernel: Any, bias: Any) -> Layer:
    kernel, bias = np.ascontiguousarray(kernel, np.float32), np.asarray(bias, np.float32)
    if kernel.ndim != 2 or bias.shape != kernel.shape[1:]:
        raise ValueError(f"{name} has weights of shapes {kernel.shape} and {bias.shape}, not those of a dense layer")
    return kernel, bias


class ActorCritic:
    """Policy and value function of PPO, APPO and IMPALA."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        """Take RLlib's settings of the model; weights come by `set_weights`."""
        self._activation = ACTIVATIONS[model["fcnet_activation"]]
        numbers = range(1, len(model["fcnet_hiddens"]) + 1)
        self._shared = bool(model["vf_share_layers"])
        self._policy_names = [f"fc_{number}" for number in numbers]
        self._value_names = [] if self._shared else [f"fc_value_{number}" for number in numbers]

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        pairs = zip(self._policy_names, self._value_names)
        hidden = self._policy_names if self._shared else [name for pair in pairs for name in pair]
        layers = _layers(weights, [*hidden, "fc_out", "value_out"])
        self._policy = [layers[name] for name in self._policy_names]
        self._value = [layers[name] for name in self._value_names]
        self._policy_out, self._value_out = layers["fc_out"], layers["value_out"]

    def forward(self, observations: Array) -> tuple[Array, Array]:
        """Logits [n, outputs] and values [n] of observations [n, features]."""
        features = _through(observations, self._policy, self._activation)
        logits = _dense(features, self._policy_out)
        if not self._shared:
            features = _through(observations, self._value, self._activation)
        return logits, _dense(features, self._value_out)[:, 0]

    def values(self, observations: Array) -> Array:
        """Values [n] of observations [n, features]."""
        layers = self._policy if self._shared else self._value
        return _dense(_through(observations, layers, self._activation), self._value_out)[:, 0]


class PolicyNetwork:
    """The policy of SAC. Its Q networks have layers of the same names, which TensorFlow has numbered: `fc_1_1`."""

    def __init__(self, model: Mapping[str, Any]) -> None:
        """Take RLlib's settings of the policy's model; weights come by `set_weights`."""
        self._activation = ACTIVATIONS[model["fcnet_activation"]]
        self._names = [f"fc_{number}" for number in range(1, len(model["fcnet_hiddens"]) + 1)]

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        layers = _layers(weights, [])
        self._hidden, self._out = [layers[name] for name in self._names], layers["fc_out"]

    def forward(self, observations: Array) -> Array:
        """What actions are drawn from, [n, outputs], of observations [n, features]."""
        return _dense(_through(observations, self._hidden, self._activation), self._out)


class QNetwork:
    """The action values of DQN."""

    def __init__(self, model: Mapping[str, Any], hiddens: Sequence[int], dueling: bool) -> None:
        """Take RLlib's settings of the model and of DQN's own layers; weights come by `set_weights`."""
        self._activation = ACTIVATIONS[model["fcnet_activation"]]
        depth = len(model["fcnet_hiddens"])
        # With layers of DQN's own, the last of the model's is its output, and has an activation.
        self._feature_names = [f"fc_{number}" for number in range(1, depth + (0 if hiddens else 1))]
        self._has_head, self._depth, self._dueling = bool(hiddens), len(hiddens), dueling

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        advantage = [f"hidden_{number}" for number in range(self._depth)]
        # The output of the advantages, then the hidden layers and the output of the value, none of which has a name.
        unnamed = int(self._has_head) + (self._depth + 1 if self._dueling else 0)
        rest = [f"dense_{number}" for number in range(unnamed)]
        # The model's value head is among its weights, and DQN does not use it.
        layers = _layers(weights, [*self._feature_names, "fc_out", "value_out", *advantage, *rest])
        self._features = [layers[name] for name in self._feature_names]
        self._out = layers["fc_out"]
        head = [layers[name] for name in (*advantage, *rest)]
        split = self._depth + 1 if self._has_head else 0
        self._advantage, self._value = head[:split], head[split:]

    def forward(self, observations: Array, legal: NDArray[np.bool_] | None = None) -> Array:
        """Action values [n, actions] of observations [n, features].

        With `legal`, [n, actions], those of illegal actions are ILLEGAL_VALUE, and count in no mean.
        """
        features = _dense(_through(observations, self._features, self._activation), self._out)
        if self._has_head:
            features = self._activation(features)
        advantages = _head(features, self._advantage)
        values = advantages
        if self._value:
            mean = advantages.mean(axis=1, keepdims=True, where=True if legal is None else legal)
            values = _head(features, self._value) + advantages - mean
        return values if legal is None else np.where(legal, values, ILLEGAL_VALUE)


def _head(features: Array, layers: list[Layer]) -> Array:
    """One of DQN's two streams: hidden layers with ReLU, and one without."""
    if not layers:
        return features
    *hidden, last = layers
    return _dense(_through(features, hidden, _relu), last)

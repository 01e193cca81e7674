"""The forward pass of RLlib's fully connected TensorFlow models, in NumPy from their weights.

After ray/rllib/models/tf/fcnet.py and ray/rllib/algorithms/dqn/distributional_q_tf_model.py. A network is a trunk,
which makes features of observations, and heads on it; `from_config` makes it from RLlib's settings of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.layers import ACTIVATIONS, Activation, Array, Layer, Weights, dense, layers_of, relu, through

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


class Trunk:
    """Dense layers with one activation: features of observations."""

    def __init__(self, names: Sequence[str], activation: Activation) -> None:
        """Take the names of the layers; weights come by `set_layers`."""
        self.names, self.activation = list(names), activation

    @classmethod
    def from_config(cls, model: Mapping[str, Any], prefix: str = "fc_") -> Trunk:
        """The hidden layers of a model with RLlib's settings, whose names have this prefix."""
        numbers = range(1, len(model["fcnet_hiddens"]) + 1)
        return cls([f"{prefix}{number}" for number in numbers], ACTIVATIONS[model["fcnet_activation"]])

    def set_layers(self, layers: Mapping[str, Layer]) -> None:
        """Take the weights from those of a whole model. Raises KeyError for those of another model."""
        self._layers = [layers[name] for name in self.names]

    def __call__(self, observations: Array) -> Array:
        """Features [n, width] of observations [n, features]."""
        return through(observations, self._layers, self.activation)


class ActorCritic:
    """Policy and value function of PPO, APPO and IMPALA."""

    def __init__(self, trunk: Trunk, value_trunk: Trunk | None) -> None:
        """Take the trunks, of which the value has none where it shares the policy's; weights come by `set_weights`."""
        self._trunk, self._value_trunk = trunk, value_trunk

    @classmethod
    def from_config(cls, model: Mapping[str, Any]) -> ActorCritic:
        """The network with RLlib's settings of a model."""
        shares = model["vf_share_layers"]
        return cls(Trunk.from_config(model), None if shares else Trunk.from_config(model, "fc_value_"))

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        layers = layers_of(weights, [*self._hidden(), "fc_out", "value_out"])
        self._trunk.set_layers(layers)
        if self._value_trunk:
            self._value_trunk.set_layers(layers)
        self._out, self._value_out = layers["fc_out"], layers["value_out"]

    def _hidden(self) -> list[str]:
        """The names of the hidden layers as tf2 orders their weights: those of both trunks in turn."""
        if not self._value_trunk:
            return self._trunk.names
        return [name for pair in zip(self._trunk.names, self._value_trunk.names) for name in pair]

    def forward(self, observations: Array) -> tuple[Array, Array]:
        """Logits [n, outputs] and values [n] of observations [n, features]."""
        features = self._trunk(observations)
        logits = dense(features, self._out)
        if self._value_trunk:
            features = self._value_trunk(observations)
        return logits, dense(features, self._value_out)[:, 0]

    def values(self, observations: Array) -> Array:
        """Values [n] of observations [n, features]."""
        return dense((self._value_trunk or self._trunk)(observations), self._value_out)[:, 0]


class PolicyNetwork:
    """The policy of SAC. Its Q networks have layers of the same names, which TensorFlow has numbered: `fc_1_1`."""

    def __init__(self, trunk: Trunk) -> None:
        """Take the trunk; weights come by `set_weights`."""
        self._trunk = trunk

    @classmethod
    def from_config(cls, model: Mapping[str, Any]) -> PolicyNetwork:
        """The network with RLlib's settings of the policy's model."""
        return cls(Trunk.from_config(model))

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        layers = layers_of(weights, [])
        self._trunk.set_layers(layers)
        self._out = layers["fc_out"]

    def forward(self, observations: Array) -> Array:
        """What actions are drawn from, [n, outputs], of observations [n, features]."""
        return dense(self._trunk(observations), self._out)


class QNetwork:
    """The action values of DQN."""

    def __init__(self, trunk: Trunk, depth: int, dueling: bool) -> None:
        """Take the trunk, and of DQN's own layers how many are hidden; weights come by `set_weights`."""
        self._trunk, self._depth, self._dueling = trunk, depth, dueling

    @classmethod
    def from_config(cls, model: Mapping[str, Any], hiddens: Sequence[int], dueling: bool) -> QNetwork:
        """The network with RLlib's settings of the model and of DQN's own layers."""
        trunk = Trunk.from_config(model)
        if hiddens:
            # The last of the model's layers is its output then, and has an activation.
            trunk = Trunk([*trunk.names[:-1], "fc_out"], trunk.activation)
        return cls(trunk, len(hiddens), dueling)

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        has_head = self._depth > 0
        out = [] if has_head else ["fc_out"]
        advantage = [f"hidden_{number}" for number in range(self._depth)]
        # The output of the advantages, then the hidden layers and the output of the value, none of which has a name.
        unnamed = int(has_head) + (self._depth + 1 if self._dueling else 0)
        rest = [f"dense_{number}" for number in range(unnamed)]
        # The model's value head is among its weights, and DQN does not use it.
        layers = layers_of(weights, [*self._trunk.names, *out, "value_out", *advantage, *rest])
        self._trunk.set_layers(layers)
        self._out = [layers[name] for name in out]
        head = [layers[name] for name in (*advantage, *rest)]
        split = self._depth + 1 if has_head else 0
        self._advantage, self._value = head[:split], head[split:]

    def forward(self, observations: Array, legal: NDArray[np.bool_] | None = None) -> Array:
        """Action values [n, actions] of observations [n, features].

        With `legal`, [n, actions], those of illegal actions are ILLEGAL_VALUE, and count in no mean.
        """
        features = _head(self._trunk(observations), self._out)
        advantages = _head(features, self._advantage)
        values = advantages
        if self._value:
            mean = advantages.mean(axis=1, keepdims=True, where=True if legal is None else legal)
            values = _head(features, self._value) + advantages - mean
        return values if legal is None else np.where(legal, values, ILLEGAL_VALUE)


def _head(features: Array, layers: list[Layer]) -> Array:
    """One of DQN's two streams: hidden layers with ReLU, and one without; or nothing at all."""
    if not layers:
        return features
    *hidden, last = layers
    return dense(through(features, hidden, relu), last)

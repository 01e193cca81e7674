"""The forward pass of RLlib's TensorFlow models, in NumPy from their weights.

A network is a trunk, which makes features of observations, and heads on it. `parts_of` says which layers of RLlib's
models are what, after fcnet.py, visionnet.py and complex_input_net.py of ray/rllib/models/tf; the heads of DQN are
those of ray/rllib/algorithms/dqn/distributional_q_tf_model.py.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.convolution import DIVIDES_PIXELS, ConvolutionalTrunk, Shape, default_filters, filters_of
from rlsif.policies.encoder import Seen, has_parts, shapes_of
from rlsif.policies.layers import (
    ACTIVATIONS,
    Activation,
    Array,
    Layer,
    Weights,
    as_dense,
    by_depth,
    dense,
    layers_of,
    relu,
    through,
)

# Of an illegal action. RLlib's own, by which its mean of advantages and its EpsilonGreedy know such actions.
ILLEGAL_VALUE = np.finfo(np.float32).min
Accepts = Callable[[Any], bool]


def _known(given: Any) -> bool:
    return given is None or given in ACTIVATIONS


# What of RLlib's model settings these networks have, beside what stands at its default.
MODEL: Mapping[str, Accepts] = {
    "fcnet_hiddens": lambda given: len(given) > 0,
    "fcnet_activation": _known,
    "vf_share_layers": lambda given: given is None or isinstance(given, bool),
}
MODEL_OF_IMAGES: Mapping[str, Accepts] = {
    "conv_filters": bool,
    "conv_activation": _known,
    DIVIDES_PIXELS: lambda given: True,
    "post_fcnet_hiddens": lambda given: True,
    "post_fcnet_activation": _known,
    "vf_share_layers": MODEL["vf_share_layers"],
}
# With images beside other things, whose value has no layers of its own.
MODEL_OF_PARTS: Mapping[str, Accepts] = {
    **MODEL_OF_IMAGES, "fcnet_hiddens": lambda given: True, "fcnet_activation": _known,
    "vf_share_layers": lambda given: True,
    # Without any, each image has those of its size.
    "conv_filters": lambda given: True,
}  # fmt: skip
# What decides nothing for a vector.
OF_IMAGES_ALONE = {"conv_filters", "conv_activation", DIVIDES_PIXELS}
# Settings of RLlib's that decide nothing for a network without memory.
WITHOUT_EFFECT = {
    "dim", "grayscale", "zero_mean", "framestack", "max_seq_len", "lstm_cell_size", "lstm_use_prev_action",
    "lstm_use_prev_reward", "post_fcnet_activation", "custom_model_config", "custom_preprocessor",
    "fcnet_weights_initializer", "lstm_use_prev_action_reward",
}  # fmt: skip


def unsupported(model: Mapping[str, Any], defaults: Mapping[str, Any], seen: Seen) -> str | None:
    """Why a model of RLlib's is not one of these networks, in a few words; None where it is.

    `model` are all of RLlib's settings of it, `defaults` those that RLlib has without any of the user's.
    """
    known, others = _settings(seen)
    for name, given in model.items():
        accepts = known.get(name)
        if accepts and not accepts(given):
            return f"model.{name} is {given}"
        changes_nothing = name in others or name in WITHOUT_EFFECT
        changes_nothing = changes_nothing or name.startswith(("attention_", "encoder_", "head_", "conv_"))
        if not accepts and not changes_nothing and given != defaults.get(name):
            return f"model.{name} is {given}"
    return None


def _settings(seen: Seen) -> tuple[Mapping[str, Accepts], Iterable[str]]:
    """The settings of a network that sees this, and those of others."""
    if has_parts(seen):
        return MODEL_OF_PARTS, ()
    return (MODEL_OF_IMAGES, MODEL) if len(seen) == 3 else (MODEL, OF_IMAGES_ALONE)


class Trunk(Protocol):
    """Makes features [n, width] of encoded observations [n, ...]."""

    def set_layers(self, layers: Mapping[str, Layer]) -> None:
        """Take the weights from those of a whole model. Raises KeyError for those of another model."""

    def __call__(self, observations: Any, /) -> Array:
        """Features [n, width]."""


class DenseTrunk:
    """Dense layers with one activation."""

    def __init__(self, names: Iterable[str], activation: Activation) -> None:
        """Take the names of the layers; weights come by `set_layers`."""
        self.names, self._activation = list(names), activation

    def set_layers(self, layers: Mapping[str, Layer]) -> None:
        """Take the weights from those of a whole model. Raises KeyError for those of another model."""
        self._layers = [layers[name] for name in self.names]

    def __call__(self, observations: Array) -> Array:
        """Features [n, width] of observations [n, features]."""
        return through(observations, self._layers, self._activation)


class PartedTrunk:
    """A trunk for each part of a vector, and dense layers on all of their features."""

    def __init__(self, shapes: Sequence[Shape], trunks: Sequence[Trunk], behind: DenseTrunk) -> None:
        """Take the shapes of the parts, in their order, with a trunk for each."""
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        self._places = [slice(end - math.prod(shape), end) for end, shape in zip(ends, shapes)]
        self._shapes, self._trunks, self._behind = shapes, trunks, behind

    def set_layers(self, layers: Mapping[str, Layer]) -> None:
        """Take the weights from those of a whole model. Raises KeyError for those of another model."""
        for trunk in (*self._trunks, self._behind):
            trunk.set_layers(layers)

    def __call__(self, observations: Array) -> Array:
        """Features [n, width] of observations [n, all parts]."""
        parts = zip(self._trunks, self._places, self._shapes)
        features = [trunk(observations[:, places].reshape(-1, *shape)) for trunk, places, shape in parts]
        return self._behind(np.concatenate(features, axis=1))


@dataclass(frozen=True)
class Parts:
    """Which layers of one of RLlib's models are what."""

    trunk: Trunk
    # The layer of the outputs, on the trunk's features and without activation; None where the features are the outputs.
    out: str | None
    # None where the value is of the trunk's features.
    value_trunk: Trunk | None
    # On the features of `value_trunk`.
    value_out: str
    # All names of layers, as tf2 orders their weights; empty where that is not known.
    order: list[str]


def parts_of(model: Mapping[str, Any], seen: Seen, *, final_linear: bool = True) -> Parts:
    """The parts of RLlib's model with these settings, for what it sees.

    Without `final_linear` the last of the hidden layers is the output, as RLlib's no_final_linear has it.
    """
    if has_parts(seen):
        return _of_parts(model, shapes_of(seen))
    shape: Shape = seen  # type: ignore[assignment]
    return _of_image(model, shape, final_linear) if len(shape) == 3 else _of_vector(model, final_linear)


def _of_vector(model: Mapping[str, Any], final_linear: bool) -> Parts:
    activation, shared = ACTIVATIONS[model["fcnet_activation"]], bool(model.get("vf_share_layers"))
    numbers = range(1, len(model["fcnet_hiddens"]) + 1)
    names, value = [f"fc_{number}" for number in numbers], [f"fc_value_{number}" for number in numbers]
    if not final_linear:
        names[-1] = "fc_out"
    out = "fc_out" if final_linear else None
    return Parts(
        trunk=DenseTrunk(names, activation),
        out=out,
        value_trunk=None if shared else DenseTrunk(value, activation),
        value_out="value_out",
        order=_order([*names, *([out] if out else [])], None if shared else value, ["value_out"]),
    )


def _of_image(model: Mapping[str, Any], shape: Shape, final_linear: bool) -> Parts:
    filters, shared = filters_of(model["conv_filters"]), bool(model.get("vf_share_layers"))
    activation, behind = ACTIVATIONS[model.get("conv_activation")], ACTIVATIONS[model.get("post_fcnet_activation")]
    numbers, hiddens = range(1, len(filters) + 1), len(model["post_fcnet_hiddens"])
    divides = bool(model.get(DIVIDES_PIXELS))
    names, value = [f"conv{number}" for number in numbers], [f"conv_value_{number}" for number in numbers]
    if final_linear:
        *then, out = ["conv_out", *(f"post_fcnet_{number}" for number in range(1, hiddens + 1))]
    else:
        names[-1] = "conv_out"
        then, out = [f"post_fcnet_{number}" for number in range(hiddens)], None
    # On features of its own, the value is one more convolution, and then a layer without weights.
    value_out = ["value_out"] if shared else ["conv_value_out", ""]
    return Parts(
        trunk=ConvolutionalTrunk(shape, filters, names, activation, then, behind, divides),
        out=out,
        value_trunk=None if shared else ConvolutionalTrunk(shape, filters, value, activation, divides_pixels=divides),
        value_out=value_out[0],
        order=_order([*names, *then, *([out] if out else [])], None if shared else value, value_out),
    )


def _of_parts(model: Mapping[str, Any], seen: Sequence[Shape]) -> Parts:
    dense_layers, divides = len(model["fcnet_hiddens"]), bool(model.get(DIVIDES_PIXELS))
    of_conv, of_fc = ACTIVATIONS[model["conv_activation"]], ACTIVATIONS[model["fcnet_activation"]]
    trunks: list[Trunk] = []
    named: Counter[str] = Counter()
    for shape in seen:
        if len(shape) == 3:
            filters = filters_of(model["conv_filters"] or default_filters(shape))
            names = _numbered("conv", len(filters), named)
            trunks.append(ConvolutionalTrunk(shape, filters, names, of_conv, divides_pixels=divides))
        else:
            trunks.append(DenseTrunk(_numbered("fc_", dense_layers, named), of_fc))
    others = sum(len(shape) != 3 for shape in seen)
    behind = DenseTrunk(
        _numbered("fc_", len(model["post_fcnet_hiddens"]), named), ACTIVATIONS[model["post_fcnet_activation"]]
    )
    # Every dense network but this has a layer of that name, which is not used.
    return Parts(PartedTrunk(seen, trunks, behind), "logits", None, f"value_out_{others + 1}", [])


def _numbered(prefix: str, layers: int, named: Counter[str]) -> list[str]:
    """The names of the layers of a network, which are counted; TensorFlow numbers those that were there before."""
    names = [f"{prefix}{number}" for number in range(1, layers + 1)]
    numbered = [f"{name}_{named[name]}" if named[name] else name for name in names]
    named.update(names)
    return numbered


def _order(policy: list[str], value: list[str] | None, value_out: list[str]) -> list[str]:
    return [*policy, *value_out] if value is None else by_depth(policy, [*value, *value_out])


class ActorCritic:
    """Policy and value function of PPO, APPO and IMPALA."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts of RLlib's model; weights come by `set_weights`."""
        assert parts.out is not None
        self._parts, self._out_name = parts, parts.out
        self._trunk, self._value_trunk = parts.trunk, parts.value_trunk or parts.trunk

    @classmethod
    def from_config(cls, model: Mapping[str, Any], seen: Seen) -> ActorCritic:
        """The network with RLlib's settings of a model, for what it sees."""
        return cls(parts_of(model, seen))

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        layers = layers_of(weights, self._parts.order)
        self._trunk.set_layers(layers)
        self._value_trunk.set_layers(layers)
        self._out, self._value_out = as_dense(layers[self._out_name]), as_dense(layers[self._parts.value_out])

    def forward(self, observations: Any) -> tuple[Array, Array]:
        """Logits [n, outputs] and values [n] of encoded observations [n, ...]."""
        features = self._trunk(observations)
        logits = dense(features, self._out)
        if self._value_trunk is not self._trunk:
            features = self._value_trunk(observations)
        return logits, dense(features, self._value_out)[:, 0]

    def values(self, observations: Any) -> Array:
        """Values [n] of encoded observations [n, ...]."""
        return dense(self._value_trunk(observations), self._value_out)[:, 0]


class PolicyNetwork:
    """The policy of SAC. Its Q networks have layers of the same names, which TensorFlow has numbered: `fc_1_1`."""

    def __init__(self, parts: Parts) -> None:
        """Take the parts of RLlib's model; weights come by `set_weights`."""
        assert parts.out is not None
        self._trunk, self._out_name = parts.trunk, parts.out

    @classmethod
    def from_config(cls, model: Mapping[str, Any], seen: Seen) -> PolicyNetwork:
        """The network with RLlib's settings of the policy's model, for what it sees."""
        return cls(parts_of(model, seen))

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        layers = layers_of(weights, [])
        self._trunk.set_layers(layers)
        self._out = as_dense(layers[self._out_name])

    def forward(self, observations: Any) -> Array:
        """What actions are drawn from, [n, outputs], of encoded observations [n, ...]."""
        return dense(self._trunk(observations), self._out)


class QNetwork:
    """The action values of DQN."""

    def __init__(self, parts: Parts, depth: int, dueling: bool) -> None:
        """Take the parts of RLlib's model, and of DQN's own layers how many are hidden.

        Weights come by `set_weights`.
        """
        self._parts, self._depth, self._dueling = parts, depth, dueling

    @classmethod
    def from_config(cls, model: Mapping[str, Any], seen: Seen, hiddens: Sequence[int], dueling: bool) -> QNetwork:
        """The network with RLlib's settings of the model and of DQN's own layers."""
        # With those, the last of the model's layers is its output, and has an activation.
        return cls(parts_of(model, seen, final_linear=not hiddens), len(hiddens), dueling)

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them. Raises ValueError, KeyError for those of another model."""
        has_head, parts = self._depth > 0, self._parts
        advantage = [f"hidden_{number}" for number in range(self._depth)]
        # The output of the advantages, then the hidden layers and the output of the value, none of which has a name.
        unnamed = int(has_head) + (self._depth + 1 if self._dueling else 0)
        rest = [f"dense_{number}" for number in range(unnamed)]
        # The model's value head is among its weights, and DQN does not use it.
        layers = layers_of(weights, [*parts.order, *advantage, *rest])
        parts.trunk.set_layers(layers)
        self._out = [as_dense(layers[parts.out])] if parts.out else []
        head = [layers[name] for name in (*advantage, *rest)]
        split = self._depth + 1 if has_head else 0
        self._advantage, self._value = head[:split], head[split:]

    def forward(self, observations: Any, legal: NDArray[np.bool_] | None = None) -> Array:
        """Action values [n, actions] of encoded observations [n, ...].

        With `legal`, [n, actions], those of illegal actions are ILLEGAL_VALUE, and count in no mean.
        """
        features = _head(self._parts.trunk(observations), self._out)
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

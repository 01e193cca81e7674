"""An actor-critic with an LSTM, in NumPy from the weights of RLlib's TensorFlow model, for several environments.

After LSTMWrapper of ray/rllib/models/tf/recurrent_net.py: dense layers, an LSTM of Keras, and two heads on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.encoder import Seen, has_parts
from rlsif.policies.layers import Array, Weights, as_dense, dense, layers_of
from rlsif.policies.networks import parts_of

# What an LSTM keeps of the past, [environments, cells] each: its last output, and its cells.
State = tuple[Array, Array]


def unsupported(model: Mapping[str, Any], seen: Seen) -> str | None:
    """Why a recurrent model of RLlib's is not this one, in a few words; None where it is."""
    if has_parts(seen) or len(seen) == 3:
        return "model.use_lstm is True, with images"
    for name in ("lstm_use_prev_action", "lstm_use_prev_reward"):
        if model[name]:
            return f"model.{name} is {model[name]}"
    return None


def _sigmoid(x: Array) -> Array:
    """As one tanh, which does not overflow."""
    out: Array = np.tanh(x * np.float32(0.5))
    out *= np.float32(0.5)
    out += np.float32(0.5)
    return out


class RecurrentActorCritic:
    """Policy and value function of PPO, with a state for each environment."""

    def __init__(self, model: Mapping[str, Any], seen: Seen, environments: int) -> None:
        """Take RLlib's settings of the model and what it sees; weights come by `set_weights`."""
        self._trunk = parts_of(model, seen).trunk
        cells = int(model["lstm_cell_size"])
        self.state: State = np.zeros((environments, cells), np.float32), np.zeros((environments, cells), np.float32)

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them with framework tf. Raises KeyError for another model's."""
        assert isinstance(weights, Mapping)
        of_lstm = {name: value for name, value in weights.items() if "lstm_cell" in name.split("/")}
        layers = layers_of({name: value for name, value in weights.items() if name not in of_lstm}, [])
        self._trunk.set_layers(layers)
        self._out, self._value_out = as_dense(layers["logits"]), as_dense(layers["values"])
        kernel, recurrent, bias = (_of(of_lstm, name) for name in ("kernel", "recurrent_kernel", "bias"))
        # Of features and the last output side by side.
        self._cell = np.concatenate([kernel, recurrent]), bias

    def forward(self, observations: Array) -> tuple[Array, Array]:
        """Logits [n, outputs] and values [n] of what all environments show, [n, ...]; states move on."""
        self.state = self._next(observations, self.state)
        return dense(self.state[0], self._out), dense(self.state[0], self._value_out)[:, 0]

    def values(self, observations: Array, which: Any = slice(None)) -> Array:
        """Values [n] of what these environments show next; states stay."""
        output, _ = self._next(observations, (self.state[0][which], self.state[1][which]))
        return dense(output, self._value_out)[:, 0]

    def forget(self, which: NDArray[np.bool_]) -> None:
        """Begin anew in these environments, [environments]."""
        for part in self.state:
            part[which] = 0

    def _next(self, observations: Array, state: State) -> State:
        """The state after one more step; Keras has the gates in this order."""
        output, cells = state
        gates = dense(np.concatenate([self._trunk(observations), output], axis=1), self._cell)
        enter, keep, candidate, leave = np.split(gates, 4, axis=1)
        cells = _sigmoid(keep) * cells + _sigmoid(enter) * np.tanh(candidate)
        return _sigmoid(leave) * np.tanh(cells), cells


def _of(weights: Mapping[str, Any], name: str) -> Array:
    [found] = [value for variable, value in weights.items() if variable.partition(":")[0].split("/")[-1] == name]
    return np.asarray(found, np.float32)

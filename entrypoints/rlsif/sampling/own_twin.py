"""A network of the user's own in NumPy, where their class has the method `in_numpy`: then env runners act by it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.envs.code import add_code_folder, class_at
from rlsif.policies import masks
from rlsif.policies.encoder import Seen, has_parts, shapes_of

Array = NDArray[Any]
# The user's method: of weights and the network's arguments it gives what gives outputs and values of observations.
METHOD = "in_numpy"


def class_of(name: str, code_folder: str) -> Any:
    """The class of a user's network. Raises InputError where there is none."""
    add_code_folder(code_folder)
    return class_at(name, f"--model {name}")


def settings_of(model: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What RLlib's settings of a model, which may have it inside, say of a user's network; None of other models."""
    if not model.get("custom_model"):
        return None
    inner = masks.inner_model(model)
    return inner["custom_model_config"] if inner["custom_model"] else None


def has_twin(settings: Mapping[str, Any]) -> bool:
    """Whether the network of these settings is there in NumPy, too."""
    return callable(getattr(class_of(settings["network"], settings["code_folder"]), METHOD, None))


class OwnTwin:
    """A user's network in NumPy."""

    def __init__(self, settings: Mapping[str, Any], seen: Seen) -> None:
        """Take the settings of the network, and what it sees; weights come by `set_weights`."""
        made_by = class_of(settings["network"], settings["code_folder"])
        self._make, self._arguments = getattr(made_by, METHOD), settings["arguments"]
        self._parts = shapes_of(seen) if has_parts(seen) else None

    def set_weights(self, weights: Any) -> None:
        """Take the weights as RLlib's policy gives them, by name or in a list: in the order in which they were made."""
        given = weights.values() if isinstance(weights, Mapping) else weights
        self._act = self._make([np.asarray(each) for each in given], **self._arguments)

    def forward(self, observations: Array) -> tuple[Array, Array]:
        """Logits [n, outputs] and values [n] of encoded observations [n, ...]."""
        outputs, values = self._act(self._seen(observations.astype(np.float32, copy=False)))
        return np.array(outputs, np.float32), np.array(values, np.float32).reshape(-1)

    def values(self, observations: Array) -> Array:
        """Values [n] of encoded observations [n, ...]."""
        return self.forward(observations)[1]

    def _seen(self, observations: Array) -> Any:
        """What the network sees: observations, or their parts where they have some."""
        if self._parts is None:
            return observations
        parts = np.split(observations, np.cumsum([math.prod(shape) for shape in self._parts])[:-1], axis=1)
        return tuple(part.reshape(-1, *shape) for part, shape in zip(parts, self._parts))

"""RLlib's TensorFlow models with the action mask taken off what the network sees, and put on what comes out of it.

policies/masks.py has the same in NumPy. A network inside keeps its weights' names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from ray.rllib.algorithms.dqn.distributional_q_tf_model import DistributionalQTFModel
from ray.rllib.models.catalog import ModelCatalog
from ray.rllib.models.tf.tf_modelv2 import TFModelV2
from ray.rllib.policy.sample_batch import SampleBatch
from ray.rllib.utils.framework import try_import_tf

from rlsif.policies.masks import ILLEGAL_LOGIT
from rlsif.policies.networks import ILLEGAL_VALUE

_, tf, _ = try_import_tf()


def register() -> None:
    """Let RLlib find the models by their names, in every process of a run."""
    for model in (MaskedActorCritic, MaskedQ):
        ModelCatalog.register_custom_model(model.__name__, model)


def _inside(
    obs_space: Any, action_space: Any, num_outputs: int, model: Mapping[str, Any], name: str, size: int, inner: Any
) -> Any:
    """RLlib's own model for observations without their mask."""
    features = gymnasium.spaces.Box(-np.inf, np.inf, (obs_space.shape[0] - size,), np.float32)
    settings = {**model, **inner}
    return ModelCatalog.get_model_v2(features, action_space, num_outputs, settings, framework="tf", name=name)


def _taken_apart(given: Any, size: int) -> tuple[Any, Any]:
    """What the network sees of the model's input, and which choices are legal: all where a mask has none."""
    observations = tf.cast(given["obs_flat"], tf.float32)
    given["obs_flat"] = observations[:, :-size]
    allowed = tf.not_equal(observations[:, -size:], 0.0)
    return given, tf.logical_or(allowed, tf.logical_not(tf.reduce_any(allowed, axis=1, keepdims=True)))


class MaskedActorCritic(TFModelV2):  # type: ignore[misc]
    """For PPO, APPO and IMPALA: logits of illegal actions are ILLEGAL_LOGIT."""

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        *,
        size: int,
        inner: Any,
    ) -> None:
        """Take RLlib's arguments, the mask's size, and the settings of the model inside."""
        super().__init__(obs_space, action_space, num_outputs, model_config, name)
        self._size = size
        self.inside = _inside(obs_space, action_space, num_outputs, model_config, name, size, inner)
        seen = {name: view for name, view in self.inside.view_requirements.items() if name != SampleBatch.OBS}
        self.view_requirements.update(seen)

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        """Logits of observations with their masks."""
        features, legal = _taken_apart(input_dict, self._size)
        logits, state = self.inside.forward(features, state, seq_lens)
        # Behind those of choices are the means and deviations of numbers.
        choices, numbers = logits[:, : self._size], logits[:, self._size :]
        choices = tf.where(legal, choices, ILLEGAL_LOGIT * tf.ones_like(choices))
        return tf.concat([choices, numbers], axis=1), state

    def value_function(self) -> Any:
        """Values of the observations given last."""
        return self.inside.value_function()

    def get_initial_state(self) -> Any:
        """What a recurrent model inside begins with."""
        return self.inside.get_initial_state()


class MaskedQ(DistributionalQTFModel):  # type: ignore[misc]
    """For DQN: values of illegal actions are ILLEGAL_VALUE, which RLlib's mean and EpsilonGreedy leave out."""

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        *,
        size: int,
        inner: Any,
        **of_values: Any,
    ) -> None:
        """Take RLlib's arguments, the mask's size, and the settings of the model inside."""
        # The model before the layers of DQN's own, in which order RLlib has them.
        self.inside = _inside(obs_space, action_space, num_outputs, model_config, name, size, inner)
        super().__init__(obs_space, action_space, num_outputs, model_config, name, **of_values)
        self._size = size

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        """What the layers of DQN's own make values of."""
        features, self._legal = _taken_apart(input_dict, self._size)
        return self.inside.forward(features, state, seq_lens)

    def get_q_value_distributions(self, model_out: Any) -> Any:
        """Values of the observations given last, with those of illegal actions."""
        values, logits, distribution = super().get_q_value_distributions(model_out)
        return tf.where(self._legal, values, ILLEGAL_VALUE * tf.ones_like(values)), logits, distribution

"""The user's own network as a model of RLlib's. Imported in processes that run RLlib with TensorFlow."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from ray.rllib.models.catalog import ModelCatalog
from ray.rllib.models.tf.tf_modelv2 import TFModelV2
from ray.rllib.utils.framework import try_import_tf

from rlsif.errors import InputError
from rlsif.learning.own_network import MODEL
from rlsif.policies.encoder import Seen
from rlsif.sampling.own_twin import METHOD, OwnTwin, class_of, settings_of

tf1, tf, _ = try_import_tf()

# The network in NumPy is compared on so many observations, and may differ by so much, relative where numbers are large.
ROWS, CLOSE = 16, 1e-4


def register() -> None:
    """Let RLlib find the model by its name, in every process of a run."""
    ModelCatalog.register_custom_model(MODEL, OwnNetwork)


class OwnNetwork(TFModelV2):  # type: ignore[misc]
    """A user's tf.Module, which gives outputs and values of observations."""

    def __init__(
        self,
        obs_space: Any,
        action_space: Any,
        num_outputs: int,
        model_config: Any,
        name: str,
        *,
        network: str,
        code_folder: str,
        arguments: Mapping[str, Any],
    ) -> None:
        """Make the user's network, and call it once, which makes all its variables.

        Takes RLlib's arguments, the name of the user's class, where modules are found, and the user's own arguments.
        Raises InputError for a class that is none, or gives something else.
        """
        super().__init__(obs_space, action_space, num_outputs, model_config, name)
        self._network_name, self._shape = network, obs_space.shape
        # Parts of observations, where images are beside other things.
        parts = getattr(obs_space, "original_space", None)
        self._parts = [part.shape for part in parts] if parts else []
        made_by = class_of(network, code_folder)
        self._scope = self.graph.get_name_scope() if self.graph else None
        self._created: list[Any] = []
        with tf.variable_creator_scope(self._create):
            self._network = self._made(made_by, parts or obs_space, num_outputs, arguments)
            with self._told("its call raised"):
                given = self._network(self._seen(self._any_observations()))
        self._check(given, num_outputs)

    def forward(self, input_dict: Any, state: Any, seq_lens: Any) -> Any:
        """Outputs [n, num_outputs] of observations; values wait until they are asked for."""
        outputs, values = self._network(self._seen(input_dict["obs_flat"]))
        self._values = tf.reshape(values, [-1])
        return outputs, state

    def value_function(self) -> Any:
        """Values [n] of the observations given last."""
        return self._values

    def variables(self, as_dict: bool = False) -> Any:
        """All variables, in the order in which they were made; those of a tf.Module may have equal names."""
        return {f"own_{n}": each for n, each in enumerate(self._created)} if as_dict else list(self._created)

    def _create(self, create: Any, **given: Any) -> Any:
        """Make a variable, with a name that is the same in every graph.

        Keras counts its layers through a whole graph, and RLlib finds weights that come from another by their names.
        """
        given["name"] = f"own_{len(self._created)}"
        with tf1.name_scope(f"{self._scope}/" if self._scope else None):
            variable = create(**given)
        self._created.append(variable)
        return variable

    def _made(self, made_by: Any, observation_space: Any, num_outputs: int, arguments: Mapping[str, Any]) -> Any:
        try:
            network = made_by(observation_space, num_outputs, **arguments)
        except TypeError as problem:
            takes = ", ".join(str(each).partition(":")[0] for each in inspect.signature(made_by).parameters.values())
            raise self._wrong(
                f"it cannot be made with (observation_space, num_outputs{_typed(arguments)}): {problem}; it takes"
                f" ({takes})"
            ) from problem
        except Exception as problem:
            raise self._wrong(f"it cannot be made: {_said(problem)}") from problem
        if not isinstance(network, tf.Module) or not callable(network):
            raise self._wrong("it is no tf.Module that can be called; derive it from tf.keras.Model, or from tf.Module")
        return network

    def _any_observations(self) -> Any:
        """Some that are flat, of which TensorFlow knows no number."""
        zeros = tf.zeros([2, prod(self._shape)])
        return zeros if self.graph is None else tf1.placeholder_with_default(zeros, [None, prod(self._shape)])

    def _seen(self, flat: Any) -> Any:
        """What the network sees of observations [n, features]: float32, in their shape, or in those of their parts."""
        flat = tf.cast(flat, tf.float32)
        if not self._parts:
            return tf.reshape(flat, [-1, *self._shape])
        parts = tf.split(flat, [prod(shape) for shape in self._parts], axis=1)
        return tuple(tf.reshape(part, [-1, *shape]) for part, shape in zip(parts, self._parts))

    def _check(self, given: Any, num_outputs: int) -> None:
        right = f"its call must give (outputs [n, {num_outputs}], values [n])"
        if not isinstance(given, (tuple, list)) or len(given) != 2 or not all(map(tf.is_tensor, given)):
            raise self._wrong(f"its call gave {_kind(given)}; {right}")
        for what, tensor, shapes in zip(("outputs", "values"), given, ([[num_outputs]], [[], [1]])):
            if tensor.dtype != tf.float32:
                raise self._wrong(f"its {what} are of {tensor.dtype.name}, and must be of float32; {right}")
            if tensor.shape.rank is not None and tensor.shape.as_list()[1:] not in shapes:
                shape = ", ".join(["n", *map(str, tensor.shape.as_list()[1:])][: tensor.shape.rank])
                raise self._wrong(f"its {what} have the shape [{shape}]; {right}")
        if not any(variable.trainable for variable in self._created):
            raise self._wrong("it has no variable that could be trained")

    @contextlib.contextmanager
    def _told(self, what: str) -> Any:
        try:
            yield
        except Exception as problem:
            raise self._wrong(f"{what} {_said(problem)}") from problem

    def _wrong(self, what: str) -> InputError:
        return InputError(f"--model {self._network_name}: {what}")


def check_twin(policy: Any, model: Mapping[str, Any], seen: Seen) -> None:
    """Compare a policy with the user's network in NumPy, by other weights than those it begins with, where many are 0.

    `model` are RLlib's settings of the policy's model; `seen` is what its network sees. Raises InputError.
    """
    settings, size = settings_of(model), model["custom_model_config"].get("size", 0)
    assert settings is not None
    observations = np.array([policy.observation_space.sample() for _ in range(ROWS)])
    if size:
        # By this mask all is legal.
        observations[:, -size:] = 1
    weights = policy.get_weights()
    policy.set_weights(_moved(weights))
    try:
        theirs = policy.compute_actions(observations)[2]
        given = _by_twin(settings, seen, policy.get_weights(), observations[:, :-size] if size else observations)
    finally:
        policy.set_weights(weights)
    for what, mine, right in zip(("outputs", "values"), given, (theirs["action_dist_inputs"], theirs["vf_preds"])):
        if mine.shape != right.shape:
            raise InputError(
                f"--model {settings['network']}: {METHOD} gives {what} of shape {mine.shape}, and must give"
                f" {right.shape}, as its call does"
            )
        difference = np.abs(mine - right) / np.maximum(1, np.abs(right))
        if not difference.max() <= CLOSE:
            place = np.unravel_index(np.argmax(difference), difference.shape)
            raise InputError(
                f"--model {settings['network']}: {METHOD} and its call give different {what} by the same weights,"
                f" {mine[place]:.6g} and {right[place]:.6g}"
            )


def _moved(weights: Any) -> Any:
    """Weights as RLlib's policy gives them, each a little further."""
    random = np.random.default_rng(0)

    def moved(each: Any) -> Any:
        noise = random.normal(scale=0.1, size=np.shape(each))
        return (each + noise).astype(each.dtype) if each.dtype.kind == "f" else each

    if isinstance(weights, Mapping):
        return {name: moved(np.asarray(each)) for name, each in weights.items()}
    return [moved(np.asarray(each)) for each in weights]


def _by_twin(settings: Mapping[str, Any], seen: Seen, weights: Any, observations: Any) -> tuple[Any, Any]:
    twin = OwnTwin(settings, seen)
    try:
        twin.set_weights(weights)
        return twin.forward(observations)
    except Exception as problem:
        raise InputError(f"--model {settings['network']}: {METHOD} raised {_said(problem)}") from problem


def _said(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())


def _typed(arguments: Mapping[str, Any]) -> str:
    return "".join(f", {name}={value!r}" for name, value in arguments.items())


def _kind(given: Any) -> str:
    return f"{len(given)} values" if isinstance(given, (tuple, list)) else f"one {type(given).__name__}"

"""Action masks: which of a policy's choices an environment takes in its present state.

A mask comes in the observation, a Dict with `action_mask` beside other keys, or in `info["action_mask"]`. It has a
number for each choice, 0 where that is illegal. A policy's observation has the mask in its last places, so that every
batch carries it to the learner; networks do not see it. learning/masked_models.py has the same for TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.policies import actions as of_actions
from rlsif.policies.encoder import MisfitError, ObservationEncoder, Seen
from rlsif.policies.layers import Weights
from rlsif.policies.networks import ActorCritic, QNetwork
from rlsif.policies.spaces import (
    ActionMask,
    Box,
    Composite,
    Discrete,
    Masked,
    MultiBinary,
    MultiDiscrete,
    Space,
    described,
    leaves,
)

Array = NDArray[Any]
KEY = "action_mask"
# Logits of illegal actions. Their probability is 0 in single precision, and nothing overflows in the losses.
ILLEGAL_LOGIT = np.float32(-1e9)

# What of RLlib's settings of a model belongs to the one inside a model that masks.
INNER = ("custom_model", "custom_model_config", "use_lstm", "use_attention")


class MaskError(MisfitError):
    """A mask that is missing or has another size; says so in a whole sentence."""


def find(observations: Space, actions: Space, info: Mapping[str, Any]) -> ActionMask | None:
    """The mask of an environment whose first reset gave `info`; None where it has none.

    Raises ValueError, with a phrase, for one that does not fit the actions. Actions that are numbers have no masks.
    """
    size = _choices(actions)
    if not size:
        return None
    if isinstance(observations, Composite) and observations.is_dict and KEY in observations.names:
        part = observations.parts[observations.names.index(KEY)]
        _check_fits(f"observations[{KEY!r}] is {described(part)}", _places(part), size, actions)
        if len(observations.names) == 1:
            raise ValueError(
                f"observations have nothing beside {KEY!r}; give what the policy is to see, as 'observations'"
            )
        return ActionMask(size, in_info=False)
    if KEY in info:
        given = _flat(info[KEY])
        _check_fits(f"info[{KEY!r}] has {given.size} numbers", given.size, size, actions)
        return ActionMask(size, in_info=True)
    return None


def masked(observations: Space, mask: ActionMask | None) -> Space:
    """Observations of an environment's space with what its mask makes of them."""
    if mask is None:
        return observations
    if mask.in_info:
        return Masked(observations, mask)
    assert isinstance(observations, Composite)
    rest = [(name, part) for name, part in zip(observations.names, observations.parts) if name != KEY]
    return Masked(Composite(tuple(n for n, _ in rest), tuple(p for _, p in rest), is_dict=True), mask)


def size_of(observations: Space) -> int:
    """How many places a policy's observation has for its mask; 0 without one."""
    return observations.mask.size if isinstance(observations, Masked) else 0


def outer_model(model: Mapping[str, Any], name: str, size: int) -> dict[str, Any]:
    """RLlib's settings of a model that masks around the one of these settings."""
    inner = {key: model[key] for key in INNER}
    return {
        **model, "use_lstm": False, "use_attention": False,
        "custom_model": name, "custom_model_config": {"size": size, "inner": inner},
    }  # fmt: skip


def inner_model(model: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that `outer_model` was given; those of another model are as they are."""
    return {**model, **model["custom_model_config"].get("inner", {})}


def _choices(actions: Space) -> int:
    """How many choices a policy has in all; 0 where it chooses numbers."""
    if of_actions.unsupported(actions):
        return 0
    chosen = of_actions.choices_of(of_actions.policy_space(actions))
    if isinstance(chosen, Discrete):
        return chosen.n
    return int(chosen.nvec.sum()) if chosen else 0


def _check_fits(what: str, given: int | None, size: int, actions: Space) -> None:
    if given != size:
        raise ValueError(
            f"{what}, and a mask of actions {described(actions)} has {size}, one for each choice: MultiBinary({size}),"
            f" or a Box of 0 and 1 in that shape"
        )


def _places(space: Space) -> int | None:
    """How many zeros and ones a space is of; None for one of something else."""
    total = 0
    for _, part in leaves(space):
        if isinstance(part, MultiDiscrete) and (part.nvec == 2).all():
            total += part.nvec.size
        elif isinstance(part, (Box, MultiBinary)):
            total += int(np.prod(part.shape))
        else:
            return None
    return total


def _flat(given: Any) -> Array:
    """A mask as one vector; one for several actions may come as several. Raises MaskError for what is no array."""
    if isinstance(given, Mapping):
        given = tuple(given.values())
    if isinstance(given, (tuple, list)) and len(given) and not np.isscalar(given[0]):
        return np.concatenate([_flat(part) for part in given])
    try:
        return np.asarray(given).reshape(-1)
    except ValueError:
        raise MaskError(f"{KEY!r} is no array of numbers: {given!r:.80}") from None


def _flat_each(given: Any, number: int) -> Array:
    """The same of a vector environment's masks, [number, size]."""
    if isinstance(given, Mapping):
        given = tuple(given.values())
    if isinstance(given, (tuple, list)):
        return np.concatenate([_flat_each(part, number) for part in given], axis=1)
    return np.asarray(given).reshape(number, -1)


def of_one(observation: Any, info: Mapping[str, Any], mask: ActionMask) -> Array:
    """The mask that came with one observation, [size]. Raises MaskError where it is not there, or is none."""
    return _fitting(_flat(_given(observation, info, mask)), mask)


def _given(observation: Any, info: Mapping[str, Any], mask: ActionMask) -> Any:
    """The mask as the environment gave it."""
    try:
        return info[KEY] if mask.in_info else observation[KEY]
    except (KeyError, IndexError, TypeError):
        what = "info" if mask.in_info else "observation"
        raise MaskError(f"the {what} has no {KEY!r}; the first reset's had one, and every step must give it") from None


def _fitting(given: Array, mask: ActionMask) -> Array:
    if given.shape[-1] != mask.size:
        raise MaskError(f"{KEY!r} has {given.shape[-1]} numbers, and its actions have {mask.size} choices")
    if given.dtype.kind not in "fiub":
        raise MaskError(f"{KEY!r} is of {given.dtype}; it must be of 0 and 1")
    return given


class MaskedEncoder:
    """Encodes observations as an ObservationEncoder does, with their masks behind them."""

    is_image = False

    def __init__(self, space: Masked) -> None:
        """Take a space whose observation `encoder.unsupported` has nothing against."""
        self._encoder, self._mask = ObservationEncoder(space.observation), space.mask
        self._width = self._encoder.shape[0]
        self.shape, self.dtype = (self._width + self._mask.size,), np.dtype(np.float32)
        # Boards of games are parts of the vector, and no images.
        self.seen: Seen = (self._width,)

    def empty(self, number: int) -> Array:
        """Room for so many encoded observations, [number, ...]."""
        return np.zeros((number, *self.shape), self.dtype)

    def into(self, places: Array, row: int, observation: Any, info: Mapping[str, Any]) -> None:
        """Encode one observation into a row of [number, ...]. Raises MisfitError for one that is not of the space."""
        self._encoder.into(places[:, : self._width], row, observation, info)
        places[row, self._width :] = of_one(observation, info, self._mask)

    def one(self, observation: Any, info: Mapping[str, Any]) -> Array:
        """One observation encoded, of `shape`. Raises MisfitError for one that is not of the space."""
        encoded = self.empty(1)
        self.into(encoded, 0, observation, info)
        alone: Array = encoded[0]
        return alone

    def batch(self, observations: Any, number: int, infos: Mapping[str, Any]) -> Array:
        """Encode observations that a vector environment gives, as a Dict of arrays [number, ...], with its infos."""
        encoded = self.empty(number)
        encoded[:, : self._width] = self._encoder.batch(observations, number, infos)
        encoded[:, self._width :] = _fitting(_flat_each(_given(observations, infos, self._mask), number), self._mask)
        return encoded


def encoder_of(space: Space) -> ObservationEncoder | MaskedEncoder:
    """What encodes observations of a space that `encoder.unsupported` has nothing against."""
    return MaskedEncoder(space) if isinstance(space, Masked) else ObservationEncoder(space)


def _starts(actions: Space) -> NDArray[np.int64]:
    """Where the choices of each action begin in a mask."""
    choices = of_actions.choices_of(actions)
    counts = choices.nvec if isinstance(choices, MultiDiscrete) else np.zeros(1, np.int64)
    return np.append(0, counts.cumsum()[:-1])


def wrong(observations: Array, actions: Space, size: int) -> tuple[int, str] | None:
    """The first of encoded observations [n, ...] whose mask lets nobody act, and why; None where all are right.

    `actions` is what the policy chooses from; of several actions each needs a legal choice.
    """
    masks = observations[:, -size:]
    strange = (masks != 0) & (masks != 1)
    if strange.any():
        row, place = (int(i) for i in np.argwhere(strange)[0])
        return row, f"{KEY!r} has {masks[row, place]:g} for action {place}; it must be 1 for legal actions, else 0"
    can_act = np.add.reduceat(masks, _starts(actions), axis=1) > 0
    if can_act.all():
        return None
    row = int(np.argwhere(~can_act)[0][0])
    return row, f"{KEY!r} has no legal action; one at least must be 1 unless the episode has ended"


def allows(observation: Array, chosen: Array, actions: Space, size: int) -> bool:
    """Whether the mask of one encoded observation has what a policy chose."""
    starts = _starts(actions)
    return bool((observation[-size:][starts + chosen.reshape(-1)[: len(starts)].astype(np.int64)] != 0).all())


def draw(mask: Array, actions: Space, random: np.random.Generator) -> Array:
    """Choices from `actions` that a mask allows, each as likely."""
    chosen = [random.choice(np.flatnonzero(part)) for part in np.split(mask, _starts(actions)[1:])]
    if isinstance(actions, Composite):
        chosen += random.uniform(-1, 1, actions.parts[1].low.size).tolist()  # type: ignore[union-attr]
    return np.array(chosen[0]) if isinstance(actions, Discrete) else np.array(chosen)


def legal(observations: Array, size: int) -> NDArray[np.bool_]:
    """Which choices are legal, [n, size]; all where a mask has none, as it may be when an episode has ended."""
    allowed = observations[:, -size:] != 0
    found: NDArray[np.bool_] = allowed | ~allowed.any(axis=1, keepdims=True)
    return found


def without_filter_on_masks(observation_filter: Callable[[Array], Array], size: int) -> Callable[[Array], Array]:
    """A filter of observations [n, ...] that leaves their masks as they are."""
    if not size:
        return observation_filter

    def filtered(observations: Array) -> Array:
        out = observation_filter(observations)
        if out is not observations:
            out[..., -size:] = observations[..., -size:]
        return out

    return filtered


class MaskedActorCritic:
    """An actor-critic whose illegal actions have ILLEGAL_LOGIT.

    Logits are finite: a run ends for weights that are not, but only after it acted by them.
    """

    def __init__(self, network: ActorCritic, size: int) -> None:
        """Take a network of the observation without its mask."""
        self._network, self._size = network, size

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them."""
        self._network.set_weights(weights)

    def forward(self, observations: Array) -> tuple[Array, Array]:
        """Logits [n, outputs] and values [n] of observations [n, features and mask]."""
        logits, values = self._network.forward(observations[:, : -self._size])
        logits = np.nan_to_num(logits)
        # Behind those of choices are the means and deviations of numbers.
        choices = logits[:, : self._size]
        choices[~legal(observations, self._size)] = ILLEGAL_LOGIT
        return logits, values

    def values(self, observations: Array) -> Array:
        """Values [n] of observations [n, features and mask]."""
        return self._network.values(observations[:, : -self._size])


class MaskedQNetwork:
    """A Q network whose illegal actions have ILLEGAL_VALUE."""

    def __init__(self, network: QNetwork, size: int) -> None:
        """Take a network of the observation without its mask."""
        self._network, self._size = network, size

    def set_weights(self, weights: Weights) -> None:
        """Take the weights as RLlib's policy gives them."""
        self._network.set_weights(weights)

    def forward(self, observations: Array) -> Array:
        """Action values [n, actions] of observations [n, features and mask]; finite, as logits are."""
        return np.nan_to_num(self._network.forward(observations[:, : -self._size], legal(observations, self._size)))

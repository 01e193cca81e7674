"""The network of a run whose observations are images: the filters that RLlib has no default for, and what cannot be."""

from __future__ import annotations

from typing import Any

from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError
from rlsif.policies import convolution, encoder, masks


def set_filters(config: Any, env: FoundEnv) -> None:
    """Give a config of RLlib's the filters for the environment's images. Raises InputError for those that do not fit.

    RLlib has filters for four sizes alone, and ends with a traceback of Keras for those that do not fit.
    """
    if encoder.unsupported(env.observations):
        return
    seen = masks.encoder_of(env.observations)
    if not seen.is_image:
        return
    _check_filter(config, env, seen.dtype.kind)
    if config.model["custom_model"]:
        return
    default = convolution.default_filters(seen.shape)
    given = config.model["conv_filters"] or default
    flat = config.model["use_lstm"] or config.model["use_attention"]
    against = convolution.against(seen.shape, given, flat=flat)
    if against:
        raise InputError(
            f"model.conv_filters is {_typed(given)}: {against}; leave it out, or begin with what is chosen then:"
            f" --set model.conv_filters={_typed(default)}"
        )
    config.model = {**config.model, "conv_filters": given}


def _check_filter(config: Any, env: FoundEnv, kind: str) -> None:
    if config.observation_filter != "NoFilter" and kind != "f":
        raise InputError(
            f"observation_filter is {config.observation_filter}, and {env.ref.short} shows images of whole numbers, to"
            " which what is filtered would be rounded; leave it out, or scale them by a wrapper"
        )


def _typed(filters: Any) -> str:
    """As a user types it."""
    return str(filters).replace(" ", "")

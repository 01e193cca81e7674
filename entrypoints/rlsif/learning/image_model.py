"""The filters of a run whose observations have images: those that RLlib has no default for, and what cannot be."""

from __future__ import annotations

from typing import Any

from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError
from rlsif.policies import convolution, masks


def set_filters(config: Any, env: FoundEnv) -> None:
    """Give a config of RLlib's the filters for the environment's images. Raises InputError for those that do not fit.

    RLlib has filters for four sizes alone, and ends with a traceback of Keras for those that do not fit.
    """
    encoder = masks.encoder_of(env.observations)
    images = convolution.images_of(encoder.seen)
    if not images:
        return
    if config.observation_filter != "NoFilter" and encoder.dtype.kind != "f":
        raise InputError(
            f"observation_filter is {config.observation_filter}, and {env.ref.short} shows images of whole numbers, to"
            " which what is filtered would be rounded; leave it out, or scale them by a wrapper"
        )
    if config.model["custom_model"]:
        return
    default = convolution.default_filters_of(images)
    given = config.model["conv_filters"] or default
    # Where there is more behind the network than what it gives out, RLlib takes all places that are left.
    flat = len(images) > 1 or not encoder.is_image or config.model["use_lstm"] or config.model["use_attention"]
    for image in images:
        against = convolution.against(image, given, flat=flat)
        if against:
            raise InputError(
                f"model.conv_filters is {_typed(given)}: {against}; leave it out, or begin with what is chosen then:"
                f" --set model.conv_filters={_typed(default)}"
            )
    config.model = {**config.model, "conv_filters": given}


def _typed(filters: Any) -> str:
    """As a user types it."""
    return str(filters).replace(" ", "")

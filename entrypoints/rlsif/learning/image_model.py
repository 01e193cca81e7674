"""The filters of a run whose observations have images: those that RLlib has no default for, and what cannot be."""

from __future__ import annotations

from typing import Any

from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError
from rlsif.policies import convolution, masks
from rlsif.policies.spaces import LEAST_SIDE, LEAST_WHITE, WHITE, described, has_pixels

OPTION = "--set model.conv_filters="


def set_filters(config: Any, env: FoundEnv) -> None:
    """Give a config of RLlib's the filters for the environment's images. Raises InputError for those that do not fit.

    RLlib has filters for a few sizes alone, and ends with a traceback of Keras for those that do not fit.
    """
    encoder = masks.encoder_of(env.observations)
    images = convolution.images_of(encoder.seen)
    if config.model.get(convolution.DIVIDES_PIXELS):
        # What is filtered has no numbers from 0 to 255.
        divides = has_pixels(env.observations) and config.observation_filter == "NoFilter"
        config.model = {**config.model, convolution.DIVIDES_PIXELS: divides}
    if not images:
        return
    if config.observation_filter != "NoFilter" and encoder.dtype.kind != "f":
        raise InputError(
            f"observation_filter is {config.observation_filter}, and {env.ref.short} shows images of whole numbers, to"
            " which what is filtered would be rounded; leave it out, or scale them by a wrapper"
        )
    given = config.model["conv_filters"]
    if config.model["custom_model"] or (_of_unlike_sizes(images) and not given):
        return
    default = convolution.default_filters(images[0])
    for image in images:
        against = convolution.against(image, given or default)
        if against:
            each = "and each image has filters for its size"
            begin = f"or begin with what is chosen then: {OPTION}{_typed(default)}"
            instead = each if _of_unlike_sizes(images) else begin
            raise InputError(f"model.conv_filters is {_typed(given)}: {against}; leave it out, {instead}")
    config.model = {**config.model, "conv_filters": given or default}


def check_pixels(model: Any, env: FoundEnv) -> None:
    """Refuse a division of pixels where no policy sees any. Raises InputError."""
    if not model.get(convolution.DIVIDES_PIXELS):
        return
    given = f"model.{convolution.DIVIDES_PIXELS} is true"
    if model["custom_model"]:
        raise InputError(f"{given}, and a network of one's own gets images as they are; leave it out")
    if not env.shows_pixels:
        seen = next(iter(env.views.values())).observations
        raise InputError(
            f"{given}, for images of numbers from 0 to {LEAST_WHITE} or more, {WHITE} at most, and {LEAST_SIDE} pixels"
            f" at least, and {env.ref.short} shows {described(seen, bounds=True)}; leave it out"
        )


def _of_unlike_sizes(images: list[tuple[int, ...]]) -> bool:
    return len({image[:2] for image in images}) > 1


def _typed(filters: Any) -> str:
    """As a user types it."""
    return str(filters).replace(" ", "")

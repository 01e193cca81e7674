"""The filters of a run whose observations have images: those that RLlib has no default for, and what cannot be."""

from __future__ import annotations

from typing import Any

from rlsif.envs.find import FoundEnv
from rlsif.errors import InputError
from rlsif.policies import convolution, masks
from rlsif.policies.spaces import described, has_bytes, is_image, leaves

OPTION = "--set model.conv_filters="


def set_filters(config: Any, env: FoundEnv) -> None:
    """Give a config of RLlib's the filters for the environment's images. Raises InputError for those that do not fit.

    RLlib has filters for a few sizes alone, and ends with a traceback of Keras for those that do not fit.
    """
    encoder = masks.encoder_of(env.observations)
    images = convolution.images_of(encoder.seen)
    _check_pixels(config.model, env, images)
    if not images:
        return
    if config.observation_filter != "NoFilter" and encoder.dtype.kind != "f":
        raise InputError(
            f"observation_filter is {config.observation_filter}, and {env.ref.short} shows images of whole numbers, to"
            " which what is filtered would be rounded; leave it out, or scale them by a wrapper"
        )
    if config.model["custom_model"]:
        return
    default = convolution.default_filters(images[0])
    given = config.model["conv_filters"] or default
    for image in images:
        against = convolution.against(image, given)
        if against:
            instead = _alike(images) or f"leave it out, or begin with what is chosen then: {OPTION}{_typed(default)}"
            raise InputError(f"model.conv_filters is {_typed(given)}: {against}; {instead}")
    config.model = {**config.model, "conv_filters": given}


def _check_pixels(model: Any, env: FoundEnv, images: list[tuple[int, ...]]) -> None:
    if not model.get(convolution.DIVIDES_PIXELS):
        return
    given = f"model.{convolution.DIVIDES_PIXELS} is true"
    if model["custom_model"]:
        raise InputError(f"{given}, and a network of one's own gets images as they are; leave it out")
    others = [leaf for _, leaf in leaves(env.observations) if is_image(leaf) and not has_bytes(leaf)]
    if not images or others:
        shown = described(others[0]) if others else "no images"
        raise InputError(f"{given}, for images of bytes, and {env.ref.short} shows {shown}; leave it out")


def _alike(images: list[tuple[int, ...]]) -> str | None:
    """What helps where images have several sizes; None where they have one."""
    sizes = list(dict.fromkeys(f"{high}x{wide}" for high, wide, _ in images))
    return (
        f"all images have the same filters, so let those of {' and '.join(sizes)} have one size" if sizes[1:] else None
    )


def _typed(filters: Any) -> str:
    """As a user types it."""
    return str(filters).replace(" ", "")

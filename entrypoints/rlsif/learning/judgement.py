"""What a run can do with an environment's spaces, in sentences; `train` refuses by the same functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from rlsif.envs import texts
from rlsif.envs.atari import protocol
from rlsif.envs.find import FoundEnv
from rlsif.envs.findings import ERROR, OK, WARNING, Finding
from rlsif.errors import InputError
from rlsif.learning import hyperparameters, own_network
from rlsif.learning.catalogue import DEFAULT, able_to_act, catalogue, known_against
from rlsif.learning.settings import rehearse
from rlsif.learning.spec import Layout, ManyPolicies, RunSpec
from rlsif.policies import actions, convolution, encoder, masks
from rlsif.policies.spaces import WHITE, Box, described, has_channels_first, has_pixels, is_image, leaves
from rlsif.sampling.coverage import IS_OWN


def judgement(found: FoundEnv, network: str | None = None) -> Iterator[Finding]:
    """Which algorithms can train in it, how it is sampled, and what learns badly; for each policy, if several.

    `network` names the class of the user's own network, which is to act in it.
    """
    yield from _of_spaces(found, network)
    if network:
        yield _of_network(found, network)


def _of_spaces(found: FoundEnv, network: str | None) -> Iterator[Finding]:
    if found.texts:
        yield Finding(OK, f"{texts.told(found.texts)}.")
    if not found.policies:
        if found.agents:
            yield Finding(OK, f"{len(found.agents)} agents have equal spaces, so that they can share one policy.")
        yield from _of_policy(found, found, network)
        return
    for name, view in found.policies.items():
        whose = ", ".join(view.agents)
        of_policy = _of_policy(view, found, network)
        yield from (replace(finding, text=f"policy {name} ({whose}): {finding.text}") for finding in of_policy)


def _of_network(found: FoundEnv, network: str) -> Finding:
    """Whether a network of the user's own acts in the environment, with PPO."""
    name = own_network.named(network)
    fails = _fails(RunSpec(DEFAULT, "tf", found.ref, 0, {}, _policies(found), network=name), found)
    if fails:
        return Finding(ERROR, f"{fails.rstrip('.')}.")
    return Finding(OK, f"the network {name} acts in it.")


def _fails(spec: RunSpec, found: FoundEnv) -> str | None:
    """Why the network of a run cannot act in the environment; None where it can."""
    try:
        return rehearse(spec, Layout(0, 1, 0.0, 1), found).fails
    except InputError as problem:
        return str(problem)


def _of_policy(found: FoundEnv, whole: FoundEnv, network: str | None) -> Iterator[Finding]:
    """The same for one policy, which sees this of the whole environment."""
    against = actions.unsupported(found.actions)
    if against:
        yield Finding(ERROR, f"no algorithm here can act in it: its {against}.")
        return
    able = ", ".join(able_to_act(found.actions))
    yield Finding(OK, f"actions are {described(found.actions)}; {able} can choose them.")
    against = encoder.unsupported(found.observations)
    if against:
        yield Finding(ERROR, f"no algorithm here can see it: its {against}.")
        return
    if played := protocol(found.ref):
        yield Finding(OK, f"{played}.")
    slow = IS_OWN if network else known_against(DEFAULT, found.observations)
    images = convolution.images_of(masks.encoder_of(found.observations).seen)
    if images and not network:
        yield from _of_images(found, whole, images)
    how = f"sampled by RLlib, which is slower, because {slow}" if slow else "sampled in NumPy, the fast way"
    yield Finding(OK, f"observations are {described(found.observations)}; {how}.")
    if found.mask:
        able = ", ".join(name for name in able_to_act(found.actions) if catalogue()[name].masked_model)
        where = 'info["action_mask"]' if found.mask.in_info else "observations['action_mask']"
        yield Finding(OK, f"{where} says which actions are legal; {able} choose no other.")
    space = found.actions
    if isinstance(space, Box) and (lacks := _lacks_bounds(space)):
        yield Finding(WARNING, f"its actions {lacks}; Box(-1, 1, ...) learns best.")
    if isinstance(found.observations, Box) and found.observations.dtype == np.float64:
        yield Finding(WARNING, "observations are float64; networks take float32; return that.")


def _lacks_bounds(space: Box) -> str | None:
    """Which bounds actions lack, and what that means for them; None where they have both."""
    low, high = np.isfinite(space.low), np.isfinite(space.high)
    if (low & high).all():
        return None
    return "lack a bound and are not scaled" if (low | high).any() else "have no bounds and are not scaled"


def _policies(found: FoundEnv) -> ManyPolicies | None:
    """The policies of its agents; None where they share one."""
    return ManyPolicies.of("", found.policies) if found.policies else None


def _of_images(found: FoundEnv, whole: FoundEnv, images: list[tuple[int, ...]]) -> Iterator[Finding]:
    """How images are read, and whether the network that `train` would have acts on them."""
    given = [leaf.shape for _, leaf in leaves(found.observations) if isinstance(leaf, Box) and is_image(leaf)]
    sizes = [(*shape[1:], shape[0]) if has_channels_first(shape) else shape for shape in given]
    pixels = " and ".join(f"{high} x {wide} pixels of {channels} channels" for high, wide, channels in sizes)
    moved = ", which come first and are moved behind" if sizes != given else ""
    chosen = [str(convolution.default_filters(image)).replace(" ", "") for image in images]
    filters = " and ".join(dict.fromkeys(chosen))
    preset = hyperparameters.preset(DEFAULT, found.ref.short, pixels=whole.shows_pixels)
    divided = f", and divides pixels by {WHITE}" if has_pixels(found.observations) else ""
    preset.pop("num_envs_per_env_runner", None)
    fails = _fails(RunSpec(DEFAULT, "tf", found.ref, 0, preset, _policies(whole)), whole)
    if fails:
        yield Finding(ERROR, f"the network that `train` would have cannot act in it: {fails.rstrip('.')}.")
        return
    yield Finding(
        OK,
        f"images have {pixels}{moved}; the network that `train` would have acts in it, with conv_filters={filters}"
        f"{divided}.",
    )

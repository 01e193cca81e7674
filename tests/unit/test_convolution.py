"""Networks of images: filters for every size, and convolutions as a loop would compute them."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict
from hypothesis import given, settings
from hypothesis import strategies as st

from rlsif.envs.spaces import plain
from rlsif.policies.convolution import (
    RLLIBS,
    ConvolutionalTrunk,
    against,
    default_filters,
    filters_of,
)
from rlsif.policies.encoder import ObservationEncoder
from rlsif.policies.layers import relu
from rlsif.policies.spaces import has_pixels

SIDES = st.integers(1, 700)


@settings(max_examples=300, deadline=None)
@given(SIDES, SIDES)
def test_there_are_filters_for_an_image_of_any_size(high, wide):
    filters = default_filters((high, wide, 3))
    assert against((high, wide, 3), filters) is None
    # So that the weights of the last are few, whatever the size.
    assert max(filters_of(filters)[-1].kernel) <= 12


def test_where_rllibs_filters_work_they_are_taken():
    for size, filters in RLLIBS.items():
        assert default_filters((*size, 4)) == filters


@pytest.mark.parametrize(
    ("filters", "said"),
    [
        ([[9, [8, 8], 4]], "20x20 places of 84x84 pixels would be left behind the last filter, and one place must be"),
        ([[9, [99, 8], 4]], "nothing of 84x84 pixels would be left behind the last filter, and one place must be"),
        ([16, 8, 4], "each filter is [outputs, [height, width], stride]"),
        ([[16, [8, 8]]], "each filter is [outputs, [height, width], stride]"),
        ([[0, [84, 84], 1]], "each filter is [outputs, [height, width], stride]"),
        ("none", "each filter is [outputs, [height, width], stride]"),
        ([[16, 84, 1]], None),
    ],
)
def test_filters_that_do_not_fit_are_told(filters, said):
    assert against((84, 84, 3), filters) == said


def by_loops(images, filter_, kernel, bias):
    """One convolution, place by place."""
    high, wide = filter_.size(images.shape[1:])
    padded = np.pad(images.astype(float), [(0, 0), *filter_.padding(images.shape[1:]), (0, 0)])
    out = np.zeros((len(images), high, wide, len(bias)))
    for row in range(high):
        for column in range(wide):
            top, left = row * filter_.stride[0], column * filter_.stride[1]
            seen = padded[:, top : top + filter_.kernel[0], left : left + filter_.kernel[1]]
            out[:, row, column] = np.tensordot(seen, kernel, 3) + bias
    return np.maximum(out, 0)


def layers_of(filters, random):
    """Random weights for images of two channels."""
    depths = [2, *(each.outputs for each in filters)]
    layers = {
        f"conv{number}": (random.normal(size=(*each.kernel, inputs, each.outputs)), random.normal(size=each.outputs))
        for number, (each, inputs) in enumerate(zip(filters, depths, strict=False), 1)
    }
    return {name: tuple(part.astype(np.float32) for part in layer) for name, layer in layers.items()}


# The second leaves a row of places that it does not see.
@pytest.mark.parametrize("last", [[4, [4, 2], 1], [4, [3, 2], 3]])
@pytest.mark.parametrize("number", [0, 1, 8, 19])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_convolutions_are_those_of_a_loop(number, kind, last):
    random, shape = np.random.default_rng(0), (13, 9, 2)
    filters = filters_of([[3, [4, 3], [2, 3]], [5, [1, 1], 2], last])
    layers = layers_of(filters, random)
    trunk = ConvolutionalTrunk(shape, filters, list(layers), relu)
    trunk.set_layers(layers)
    images = random.integers(9, size=(number, *shape)).astype(kind)
    # Of another kind before, as float32 comes from a filter of observations.
    trunk(random.normal(size=(3, *shape)))
    expected = images
    for each, layer in zip(filters, layers.values(), strict=True):
        expected = by_loops(expected, each, *layer)
    np.testing.assert_allclose(trunk(images), expected[:, 0, 0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("filters", [[[3, 4, 3], [4, [5, 3], 1]], [[4, [13, 9], 1]]])
def test_pixels_are_divided_before_the_first_layer(filters):
    random, shape, filters = np.random.default_rng(0), (13, 9, 2), filters_of(filters)
    layers = layers_of(filters, random)
    images = random.integers(256, size=(5, *shape)).astype(np.uint8)
    of = [ConvolutionalTrunk(shape, filters, list(layers), relu, divides_pixels=divides) for divides in (True, False)]
    for trunk in of:
        trunk.set_layers(layers)
    np.testing.assert_allclose(of[0](images), of[1](images.astype(np.float32) / 255), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("space", "has"),
    [
        (Box(0, 255, (84, 84, 4), np.uint8), True),
        (Box(0, 255, (4, 84, 84), np.uint8), True),
        (Box(0, 255, (210, 160, 3), np.uint8), True),
        (Dict({"image": Box(0, 255, (64, 32, 1), np.uint8), "speed": Box(-1, 1, (2,))}), True),
        (Box(0, 254, (200, 31, 3), np.uint8), True),
        # Grids, whose numbers are what stands in a place.
        (Box(0, 255, (7, 7, 3), np.uint8), False),
        (Box(0, 255, (8, 8, 64), np.uint8), False),
        (Box(0, 10, (64, 64, 3), np.uint8), False),
        (Box(0, 1, (84, 84, 4), np.uint8), False),
        (Box(0, 1, (84, 84, 4), np.float32), False),
        (Box(0, 1, (84, 84, 4), np.bool_), False),
        (Box(0, 255, (40, 40, 3), np.int64), True),
        (Box(0, 255, (40, 40, 3), np.float32), True),
        (Box(-255, 255, (40, 40, 3), np.float32), False),
        (Box(0, np.inf, (40, 40, 3), np.float32), False),
        (Dict({"a": Box(0, 255, (64, 64, 1), np.uint8), "b": Box(0, 1, (64, 64, 1))}), False),
        (Box(0, 255, (84,), np.uint8), False),
    ],
)
def test_which_images_have_pixels(space, has):
    assert has_pixels(plain(space)) is has


def test_images_beside_other_things_are_parts_of_one_vector():
    from gymnasium.spaces import Box, Dict, Discrete

    space = Dict(
        {"at": Discrete(3), "views": Dict({"far": Box(0, 255, (2, 9, 8), np.uint8), "near": Box(0, 1, (4, 4, 3))})}
    )
    encode = ObservationEncoder(plain(space))
    assert encode.seen == ((3,), (9, 8, 2), (4, 4, 3)) and encode.shape == (195,)
    observation = space.sample()
    encoded = encode.one(observation, {})
    assert encoded[:3].argmax() == observation["at"]
    assert np.array_equal(encoded[3:147].reshape(9, 8, 2), observation["views"]["far"].transpose(1, 2, 0))
    assert np.array_equal(encoded[147:], observation["views"]["near"].ravel())


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((84, 84, 4), (0, 1, 2)),
        ((4, 84, 84), (1, 2, 0)),
        ((3, 7, 7), (1, 2, 0)),
        ((10, 12, 20), (0, 1, 2)),
        # Which RLlib would take for Atari's screen.
        ((210, 160, 3), (1, 0, 2)),
    ],
)
def test_an_image_has_its_channels_last_and_keeps_its_bytes(shape, axes):
    from gymnasium.spaces import Box

    space = Box(0, 255, shape, np.uint8)
    encode = ObservationEncoder(plain(space))
    images = np.array([space.sample() for _ in range(3)])
    together, one = encode.batch(images, 3, {}), encode.one(images[1], {})
    assert together.shape == (3, *encode.seen) and together.dtype == np.uint8
    assert np.array_equal(together, images.transpose(0, *(axis + 1 for axis in axes)))
    assert np.array_equal(one, together[1])
    assert ObservationEncoder(plain(Box(0, 1, shape, np.float64))).dtype == np.float32

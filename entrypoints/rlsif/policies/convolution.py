"""Convolutions over images [n, height, width, channels], after ray/rllib/models/tf/visionnet.py.

Images may be of integers: each is turned into float32 where the first layer reads it, a few at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rlsif.policies.encoder import Seen, shapes_of
from rlsif.policies.layers import Activation, Array, Layer, as_dense, dense, through
from rlsif.policies.spaces import WHITE

Shape = tuple[int, ...]
# What RLlib has, ray/rllib/models/utils.py; of its filters for 64x64 nine places would be left.
RLLIBS: Mapping[Shape, list[list[Any]]] = {
    (96, 96): [[16, [8, 8], 4], [32, [4, 4], 2], [256, [11, 11], 2]],
    (84, 84): [[16, [8, 8], 4], [32, [4, 4], 2], [256, [11, 11], 1]],
    (42, 42): [[16, [4, 4], 2], [32, [4, 4], 2], [256, [11, 11], 1]],
    (10, 10): [[16, [5, 5], 2], [32, [5, 5], 2]],
}
# Of other images: the most that the last filter sees of a side, the outputs of those before it, and its own.
LAST_SEES, OUTPUTS, FEATURES = 12, (16, 32, 64, 64, 64, 64, 64, 64), 256
# From this side on the first filter has the size that RLlib has for 84x84.
LARGE = 64
# The setting of a model by which pixels are divided by WHITE before the first layer; RLlib has none.
DIVIDES_PIXELS = "normalize_images"
# Images that go through the convolutions together: what they need between two layers stays in a core's cache.
TOGETHER = 8


@dataclass(frozen=True)
class Filter:
    """One entry of RLlib's conv_filters."""

    outputs: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    # Every layer but the last pads its input, so that the stride alone makes it smaller.
    same: bool

    def size(self, image: Shape) -> tuple[int, int]:
        """Height and width of what comes out; 0 where the kernel is larger than the image."""
        if self.same:
            high, wide = (-(-side // step) for side, step in zip(image, self.stride))
        else:
            sides = zip(image, self.kernel, self.stride)
            high, wide = (max(0, (side - kernel) // step + 1) for side, kernel, step in sides)
        return high, wide

    def padding(self, image: Shape) -> list[tuple[int, int]]:
        """Rows above and below, columns left and right, as TensorFlow divides them."""
        if not self.same:
            return [(0, 0), (0, 0)]
        sides = zip(image, self.size(image), self.kernel, self.stride)
        more = [max(0, (out - 1) * step + kernel - side) for side, out, kernel, step in sides]
        return [(both // 2, both - both // 2) for both in more]


def filters_of(conv_filters: Sequence[Sequence[Any]]) -> list[Filter]:
    """RLlib's setting as the layers that it stands for."""
    last = len(conv_filters) - 1
    return [
        Filter(int(outputs), _two(kernel), _two(stride), same=number != last)
        for number, (outputs, kernel, stride) in enumerate(conv_filters)
    ]


def _two(value: Any) -> tuple[int, int]:
    high, wide = (value, value) if isinstance(value, int) else value
    return int(high), int(wide)


def images_of(seen: Seen) -> list[Shape]:
    """The shapes of the images that a network sees."""
    return [shape for shape in shapes_of(seen) if len(shape) == 3]


def default_filters(image: Shape) -> list[list[Any]]:
    """RLlib's conv_filters for an image of any size; those that RLlib has where its own work."""
    size = tuple(image[:2])
    if size in RLLIBS:
        return RLLIBS[size]
    found: list[list[Any]] = []
    for outputs in OUTPUTS:
        kernel, stride = _step(max(size), first=not found)
        found.append([outputs, [kernel, kernel], stride])
        size = Filter(outputs, (kernel, kernel), (stride, stride), same=True).size(size)
        if len(found) > 1 and max(size) <= LAST_SEES:
            break
    return [*found, [FEATURES, list(size), 1]]


def _step(side: int, *, first: bool) -> tuple[int, int]:
    """Kernel and stride of a layer for an image of this size."""
    if side <= LAST_SEES:
        return (3, 1) if first else (3, 2)
    return (8, 4) if side >= LARGE and first else (4, 2)


def against(image: Shape, conv_filters: Any) -> str | None:
    """Why RLlib cannot make a network with these filters for an image, in a few words; None where it can."""
    try:
        filters = filters_of(conv_filters)
    except (TypeError, ValueError):
        filters = []
    if not filters or any(min(f.outputs, *f.kernel, *f.stride) < 1 for f in filters):
        return "each filter is [outputs, [height, width], stride]"
    size: Shape = tuple(image[:2])
    for each in filters:
        size = each.size(size)
    if size == (1, 1):
        return None
    left = f"{size[0]}x{size[1]} places" if min(size) else "nothing"
    return f"{left} of {image[0]}x{image[1]} pixels would be left behind the last filter, and one place must be"


class ConvolutionalTrunk:
    """Convolutions of which the last leaves one place, and dense layers behind them: features of images."""

    def __init__(
        self,
        shape: Shape,
        filters: Sequence[Filter],
        names: Sequence[str],
        activation: Activation,
        dense_names: Sequence[str] = (),
        dense_activation: Activation | None = None,
        divides_pixels: bool = False,
    ) -> None:
        """Take the shape of an image, a name for each filter, and those of the dense layers.

        Weights come by `set_layers`. With `divides_pixels` images are seen as numbers from 0 to 1.
        """
        self._divides_pixels = divides_pixels
        self._convolutions = []
        for each in filters[:-1]:
            self._convolutions.append(_Convolution(each, shape))
            shape = (*each.size(shape), each.outputs)
        self._last_sees = filters[-1].kernel
        self._conv_names, self._activation = list(names), activation
        self._dense_names, self._dense_activation = list(dense_names), dense_activation or activation

    def set_layers(self, layers: Mapping[str, Layer]) -> None:
        """Take the weights. Raises KeyError for those of another model."""
        convolutions = [as_dense(layers[name]) for name in self._conv_names]
        if self._divides_pixels:
            # The same, and cheaper: images have more pixels than a kernel.
            kernel, bias = convolutions[0]
            convolutions[0] = kernel / np.float32(WHITE), bias
        for convolution, layer in zip(self._convolutions, convolutions):
            convolution.set_layer(layer)
        # A product of matrices for all images at once.
        self._last = convolutions[-1]
        self._dense = [as_dense(layers[name]) for name in self._dense_names]

    def __call__(self, images: NDArray[Any]) -> Array:
        """Features [n, width] of images [n, height, width, channels]."""
        # No image is one part of no rows; the shape of the features comes with it.
        starts = range(0, max(1, len(images)), TOGETHER)
        seen = np.concatenate([self._seen_by_last(images[at : at + TOGETHER]) for at in starts])
        features = self._activation(dense(seen, self._last))
        return through(features, self._dense, self._dense_activation)

    def _seen_by_last(self, images: NDArray[Any]) -> Array:
        """What the last convolution sees, [n, inputs]."""
        maps = images
        for convolution in self._convolutions:
            maps = self._activation(convolution(maps))
        high, wide = self._last_sees
        seen = maps[:, :high, :wide].reshape(len(maps), len(self._last[0]))
        return seen.astype(np.float32, copy=False)


class _Convolution:
    """One padded convolution, with room for what a few images need."""

    def __init__(self, filter_: Filter, shape: Shape) -> None:
        *image, channels = shape
        self._size, self._stride = filter_.size(shape), filter_.stride
        padded = [side + sum(more) for side, more in zip(image, filter_.padding(shape))]
        self._padded: NDArray[Any] = np.zeros((TOGETHER, *padded, channels), np.uint8)
        (above, _), (left, _) = filter_.padding(shape)
        self._inside = slice(above, above + image[0]), slice(left, left + image[1])
        high, wide = filter_.kernel
        # Each row has what one place of the output sees.
        self._patches = np.empty((TOGETHER, *self._size, high, wide * channels), np.float32)

    def set_layer(self, layer: Layer) -> None:
        self._layer = layer

    def __call__(self, images: NDArray[Any]) -> Array:
        """One layer without its activation, as one product of matrices."""
        patches, padded = self._patches[: len(images)], self._with_edges(images)
        of_image, of_row, of_column, of_channel = padded.strides
        down, right = self._stride
        patches[...] = np.lib.stride_tricks.as_strided(
            padded, patches.shape, (of_image, of_row * down, of_column * right, of_row, of_channel), writeable=False
        )
        kernel, bias = self._layer
        out = dense(patches.reshape(-1, len(kernel)), self._layer)
        return out.reshape(len(images), *self._size, len(bias))

    def _with_edges(self, images: NDArray[Any]) -> NDArray[Any]:
        """The images with zeros around them."""
        if self._padded.dtype != images.dtype:
            self._padded = np.zeros(self._padded.shape, images.dtype)
        padded = self._padded[: len(images)]
        padded[:, self._inside[0], self._inside[1]] = images
        return padded

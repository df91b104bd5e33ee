"""Enlarging scores as transposed convolutions with bilinear kernels do (Long et al., 2015, section 3.3)."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from deeplab.compat import tf
from deeplab.layers.conv import conv2d_transpose
from deeplab.layers.resize import Size, spatial_size


def bilinear_upsampling(net: tf.Tensor, factor: int, size: Size, scope: str | None = None) -> tf.Tensor:
    """`[N, h, w, C]` -> `[N, *size, C]` where h is ceil(size / factor): each feature is centred on its pixels.

    With a `scope` a transposed convolution learns it, from bilinear values; without, it is fixed. Borders are repeated,
    so that a constant stays constant up to the edge.
    """
    if not scope:
        return _interpolated(_interpolated(net, factor, 1), factor, 2)[:, :size[0], :size[1]]
    padded = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]], 'SYMMETRIC')
    height, width = (side * factor for side in spatial_size(padded))
    net = conv2d_transpose(padded, net.shape.as_list()[-1], 2 * factor, scope=scope, initializer=bilinear_initializer,
                           size=(height, width), stride=factor, normalizer=None, activation=None)
    return tf.cast(net[:, factor:factor + size[0], factor:factor + size[1]], padded.dtype)


def _interpolated(net: tf.Tensor, factor: int, axis: int) -> tf.Tensor:
    """`factor` values for each along the axis, between it and its nearer neighbour.

    The same as a transposed convolution without its C x C kernel, of which only the diagonal isn't 0.
    """
    size = spatial_size(net)[axis - 1]
    padded = tf.pad(net, [[int(i == axis)] * 2 for i in range(4)], 'SYMMETRIC')
    before, after = (padded[:, k:k + size] if axis == 1 else padded[:, :, k:k + size] for k in (0, 2))
    values = []
    for offset in (np.arange(factor) + 0.5) / factor - 0.5:
        values.append((1 - abs(offset)) * net + abs(offset) * (before if offset < 0 else after))
    sides = list(spatial_size(net))
    sides[axis - 1] *= factor
    return tf.reshape(tf.stack(values, axis + 1), tf.stack([-1, *sides, net.shape.as_list()[-1]]))


def bilinear_kernel(factor: int) -> np.ndarray:
    """`[2 factor, 2 factor]` that a transposed convolution of stride `factor` interpolates with."""
    offsets = np.arange(2 * factor) - (factor - 0.5)
    slope = 1 - np.abs(offsets) / factor
    return np.outer(slope, slope).astype(np.float32)


def bilinear_initializer(shape: Sequence[int], dtype: tf.DType = tf.float32, partition_info: Any = None) -> tf.Tensor:
    """A kernel `[2 factor, 2 factor, C, C]` that interpolates each channel by itself."""
    side, _, outputs, inputs = (int(each) for each in shape)
    return tf.constant(bilinear_kernel(side // 2)[:, :, np.newaxis, np.newaxis] * np.eye(outputs, inputs), dtype)

"""MobileNetV3 large and small for segmentation (Howard et al., 2019): the last blocks and the last layer halved."""

import functools
from typing import Any

import numpy as np

from deeplab.backbones.backbone import Features
from deeplab.backbones.mobilenet import Block, Network, backbone, make_divisible, walk
from deeplab.compat import tf

SCOPE = 'MobilenetV3'


def hard_swish(inputs: tf.Tensor) -> tf.Tensor:
    """x * relu6(x + 3) / 6."""
    return inputs * tf.nn.relu6(inputs + 3.0) * np.float32(1 / 6)


SWISH: dict[str, Any] = {'activation': hard_swish}
SQUEEZE: dict[str, Any] = {'squeeze': True}

LARGE = Network(
    scope=SCOPE,
    stem=(16, hard_swish),
    blocks=(
        Block(1, 16, 1),
        Block(4, 24, 2),
        Block(3, 24, 1),
        Block(3, 40, 2, kernel=5, **SQUEEZE),
        Block(3, 40, 1, kernel=5, **SQUEEZE),
        Block(3, 40, 1, kernel=5, **SQUEEZE),
        Block(6, 80, 2, **SWISH),
        Block(2.5, 80, 1, **SWISH),
        Block(184 / 80, 80, 1, **SWISH),
        Block(184 / 80, 80, 1, **SWISH),
        Block(6, 112, 1, **SWISH, **SQUEEZE),
        Block(6, 112, 1, **SWISH, **SQUEEZE),
        Block(3, 80, 2, kernel=5, **SWISH, **SQUEEZE),
        Block(6, 80, 1, kernel=5, **SWISH, **SQUEEZE),
        Block(6, 80, 1, kernel=5, **SWISH, **SQUEEZE),
    ),
    last=(480, hard_swish),
    taps={4: 2, 8: 5, 16: 11},
)
SMALL = Network(
    scope=SCOPE,
    stem=(16, hard_swish),
    blocks=(
        Block(1, 16, 2, **SQUEEZE),
        Block(72 / 16, 24, 2),
        Block(88 / 24, 24, 1),
        Block(4, 40, 2, kernel=5, **SWISH, **SQUEEZE),
        Block(6, 40, 1, kernel=5, **SWISH, **SQUEEZE),
        Block(6, 40, 1, kernel=5, **SWISH, **SQUEEZE),
        Block(3, 48, 1, kernel=5, **SWISH, **SQUEEZE),
        Block(3, 48, 1, kernel=5, **SWISH, **SQUEEZE),
        Block(3, 48, 2, kernel=5, **SWISH, **SQUEEZE),
        Block(6, 48, 1, kernel=5, **SWISH, **SQUEEZE),
        Block(6, 48, 1, kernel=5, **SWISH, **SQUEEZE),
    ),
    last=(288, hard_swish),
    taps={4: 0, 8: 2, 16: 7},
)


def mobilenet_v3(network: Network, images: tf.Tensor, output_stride: int, *, depth_multiplier: float = 1.0) -> Features:
    """At output stride 16 and below, `small` gains a residual connection that it doesn't have at 32.

    Options:
      depth_multiplier: factor of every layer's channels, which are rounded to multiples of 8
    """
    def channels(filters: int) -> int:
        return make_divisible(filters * depth_multiplier, 8, 8)

    return walk(network, channels, images, output_stride)


BACKBONES = tuple(
    backbone(name, functools.partial(mobilenet_v3, network), network, (1, 2, 4, 8, 16, 32), changes_with_stride=reason)
    for name, network, reason in (
        ('mobilenet_v3_large_seg', LARGE,
         'squeeze-and-excite averages over all positions, and dense features have others'),
        ('mobilenet_v3_small_seg', SMALL,
         'squeeze-and-excite, as in large; and it gains a residual connection where its stride is removed')))

"""MobileNet-EdgeTPU (Xiong et al., 2020, MobileDets; slim's mobilenet_v3.V3_EDGETPU) with its last 1x1 convolution."""

from typing import Any

from deeplab.backbones.backbone import Features
from deeplab.backbones.mobilenet import Block, Network, backbone, make_divisible, walk
from deeplab.compat import tf


def _row(expansion: float, filters: int, stride: int, **options: Any) -> list[Block]:
    """Four blocks: one of twice the expansion, and three."""
    return [Block(2 * expansion, filters, stride, **options), *[Block(expansion, filters, 1, **options)] * 3]


def _unlinked(row: list[Block]) -> list[Block]:
    return [row[0]._replace(residual=False), *row[1:]]


NETWORK = Network(
    scope='MobilenetEdgeTPU',
    stem=(32, tf.nn.relu),
    blocks=(
        Block(1, 16, 1, fused=True),
        *_row(4, 32, 2, fused=True),
        *_row(4, 48, 2, fused=True),
        *_row(4, 96, 2),
        *_unlinked(_row(4, 96, 1)),
        *_row(4, 160, 2, kernel=5),
        Block(8, 192, 1),
    ),
    last=(1280, tf.nn.relu),
    taps={},
)


def mobilenet_edgetpu(images: tf.Tensor, output_stride: int, *, depth_multiplier: float = 1.0) -> Features:
    """The released network has no taps, so no decoder fits it.

    Options:
      depth_multiplier: factor of every layer's channels, which are rounded to multiples of 8
    """
    def channels(filters: int) -> int:
        return make_divisible(filters * depth_multiplier, 8, 8)

    return walk(NETWORK, channels, images, output_stride)


# The fused blocks, which end at stride 8, can't dilate.
BACKBONES = (backbone('mobilenet_edgetpu', mobilenet_edgetpu, NETWORK, (8, 16, 32)),)

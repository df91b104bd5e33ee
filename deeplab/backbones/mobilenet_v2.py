"""MobileNetV2 (Sandler et al., 2018, table 2) up to its 320 channels, in slim's names."""

from deeplab.backbones.backbone import Features
from deeplab.backbones.mobilenet import Block, Network, backbone, make_divisible, walk
from deeplab.compat import tf


def _row(expansion: float, filters: int, count: int, stride: int) -> list[Block]:
    blocks = [Block(expansion, filters, stride, activation=tf.nn.relu6)]
    return blocks + [Block(expansion, filters, 1, activation=tf.nn.relu6)] * (count - 1)


NETWORK = Network(
    scope='MobilenetV2',
    stem=(32, tf.nn.relu6),
    blocks=(
        *_row(1, 16, 1, 1),
        *_row(6, 24, 2, 2),
        *_row(6, 32, 3, 2),
        *_row(6, 64, 4, 2),
        *_row(6, 96, 3, 1),
        *_row(6, 160, 3, 2),
        *_row(6, 320, 1, 1),
    ),
    last=None,
    taps={4: 2, 8: 5, 16: 12},
)


def mobilenet_v2(images: tf.Tensor, output_stride: int, *, depth_multiplier: float = 1.0,
                 divisible_by: int | None = None, blocks: int | None = None) -> Features:
    """The released ImageNet checkpoints below depth multiplier 1 are rounded to 8, the released DeepLab ones to 1.

    Options:
      depth_multiplier: factor of every layer's channels
      divisible_by: channels are rounded to multiples of this; None: 8 at depth multiplier 1, otherwise 1
      blocks: the network ends behind that many of its 17 blocks; None: behind the last

    Raises:
      ValueError: there is no such number of blocks.
    """
    if blocks is not None and not 1 <= blocks <= len(NETWORK.blocks):
        raise ValueError(f'blocks is {blocks}; mobilenet_v2 has 1 to {len(NETWORK.blocks)}')
    network = NETWORK._replace(blocks=NETWORK.blocks[:blocks])
    minimum = 8 if depth_multiplier == 1.0 else 1

    def channels(filters: int) -> int:
        return make_divisible(filters * depth_multiplier, divisible_by or minimum, minimum)

    return walk(network, channels, images, output_stride)


BACKBONES = (backbone('mobilenet_v2', mobilenet_v2, NETWORK, (1, 2, 4, 8, 16, 32), tested='always'),)

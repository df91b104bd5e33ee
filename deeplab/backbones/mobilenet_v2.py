"""MobileNetV2 (Sandler et al., 2018) up to its 320 channels, in slim's names."""

from typing import NamedTuple

from deeplab.backbones.backbone import MID_GREY, UNIT_RANGE, Backbone, BatchNorm, Features
from deeplab.compat import slim, tf
from deeplab.layers.conv import conv2d, depthwise_conv2d
from deeplab.strides import plan

SCOPE = 'MobilenetV2'


class Block(NamedTuple):
    """An inverted residual block: a row of the paper's table 2, unrolled."""

    expansion: int
    filters: int
    stride: int


STEM_FILTERS = 32
BLOCKS = (
    Block(1, 16, 1),
    Block(6, 24, 2), Block(6, 24, 1),
    Block(6, 32, 2), Block(6, 32, 1), Block(6, 32, 1),
    Block(6, 64, 2), Block(6, 64, 1), Block(6, 64, 1), Block(6, 64, 1),
    Block(6, 96, 1), Block(6, 96, 1), Block(6, 96, 1),
    Block(6, 160, 2), Block(6, 160, 1), Block(6, 160, 1),
    Block(6, 320, 1),
)
# Nominal stride -> the block whose depthwise output is the tap.
TAPS = {4: 2, 8: 5, 16: 12}


def make_divisible(value: float, divisor: int, minimum: int) -> int:
    """The multiple of `divisor` nearest to `value`, at least `minimum` and at least 0.9 `value`."""
    rounded = max(minimum, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def mobilenet_v2(images, output_stride, *, depth_multiplier=1.0, divisible_by=None) -> Features:
    """Channels are rounded to multiples of `divisible_by`: unless given, 8 at depth multiplier 1 and 1 otherwise.

    The released ImageNet checkpoints below 1.0 are rounded to 8, the released DeepLab ones to 1.
    """
    minimum = 8 if depth_multiplier == 1.0 else 1

    def channels(filters):
        return make_divisible(filters * depth_multiplier, divisible_by or minimum, minimum)

    (stride, rate), *layers = plan([2, *(block.stride for block in BLOCKS)], output_stride)
    taps = {}
    initializer = tf.truncated_normal_initializer(stddev=0.09)
    with tf.variable_scope(SCOPE), slim.arg_scope(
            [conv2d, depthwise_conv2d], initializer=initializer, activation=tf.nn.relu6):
        net = conv2d(images, channels(STEM_FILTERS), 3, scope='Conv', stride=stride, rate=rate)
        for i, (block, (stride, rate)) in enumerate(zip(BLOCKS, layers, strict=True)):
            with tf.variable_scope(f'expanded_conv_{i}' if i else 'expanded_conv'):
                net, depthwise = _inverted_residual(net, block.expansion, channels(block.filters), stride, rate)
            taps.update((nominal, depthwise) for nominal, tap in TAPS.items() if tap == i)
    return Features(net, taps)


def _inverted_residual(inputs, expansion, filters, stride, rate):
    """(block output, output of its depthwise convolution)."""
    depth = inputs.shape.as_list()[-1]
    net = inputs
    if expansion > 1:
        net = conv2d(net, make_divisible(depth * expansion, 8, 8), 1, scope='expand')
    depthwise = depthwise_conv2d(net, 3, scope='depthwise', stride=stride, rate=rate)
    net = conv2d(depthwise, filters, 1, scope='project', activation=None)
    # The effective stride counts: a block whose stride went into dilation may be residual.
    if stride == 1 and depth == filters:
        net += inputs
    return net, depthwise


BACKBONES = (
    Backbone(
        name='mobilenet_v2', walk=mobilenet_v2, scope=SCOPE, pixels=UNIT_RANGE, pad_value=MID_GREY,
        batch_norm=BatchNorm(decay=0.997, epsilon=1e-3), output_strides=(1, 2, 4, 8, 16, 32)),
)

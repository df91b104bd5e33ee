"""The walker of the MobileNets: rows of blocks -> slim's graph and names. Each network is a file with its rows."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from deeplab.backbones.backbone import MID_GREY, UNIT_RANGE, Backbone, BatchNorm, Features
from deeplab.compat import slim, tf
from deeplab.layers.average import image_mean
from deeplab.layers.context import quantized_sigmoid
from deeplab.layers.conv import Layer, biases, conv2d, depthwise_conv2d
from deeplab.strides import plan


class Block(NamedTuple):
    """An inverted residual block; `expansion` multiplies the channels that come in."""

    expansion: float
    filters: int
    stride: int
    kernel: int = 3
    activation: Layer = tf.nn.relu
    squeeze: bool = False  # squeeze-and-excite after the depthwise convolution
    fused: bool = False  # one dense convolution for expansion and depthwise, none where expansion is 1
    residual: bool = True


class Network(NamedTuple):
    """A MobileNet as its paper's table: 3x3 stem at stride 2, blocks, and perhaps a last 1x1 convolution."""

    scope: str
    stem: tuple[int, Layer]  # filters, activation
    blocks: tuple[Block, ...]
    last: tuple[int, Layer] | None
    taps: Mapping[int, int]  # nominal stride -> index of the block whose depthwise output it is


def make_divisible(value: float, divisor: int, minimum: int) -> int:
    """The multiple of `divisor` nearest to `value`, at least `minimum` and at least 0.9 `value`."""
    rounded = max(minimum, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


def walk(network: Network, channels: Callable[[int], int], images: tf.Tensor, output_stride: int) -> Features:
    """Features of normalised images `[N, H, W, 3]`; `channels` scales and rounds the rows' filters."""
    (stride, rate), *layers = plan([2, *(block.stride for block in network.blocks)], output_stride)
    depthwise = []  # of each block
    filters, activation = network.stem
    initializer = tf.truncated_normal_initializer(stddev=0.09)
    with tf.variable_scope(network.scope), slim.arg_scope([conv2d, depthwise_conv2d], initializer=initializer):
        net = conv2d(images, channels(filters), 3, scope='Conv', stride=stride, rate=rate, activation=activation)
        for i, (block, (stride, rate)) in enumerate(zip(network.blocks, layers, strict=True)):
            with tf.variable_scope(f'expanded_conv_{i}' if i else 'expanded_conv'):
                net, inner = _inverted_residual(net, block, channels(block.filters), stride, rate)
            depthwise.append(inner)
        if network.last:
            filters, activation = network.last
            net = conv2d(net, channels(filters), 1, scope='Conv_1', activation=activation)
    # Without the taps of blocks that were cut off.
    return Features(net, {nominal: depthwise[i] for nominal, i in network.taps.items() if i < len(depthwise)})


def _inverted_residual(inputs: tf.Tensor, block: Block, filters: int, stride: int, rate: int,
                       ) -> tuple[tf.Tensor, tf.Tensor]:
    """(block output, output of its depthwise convolution)."""
    depth = inputs.shape.as_list()[-1]
    net = inputs
    with slim.arg_scope([conv2d, depthwise_conv2d], activation=block.activation):
        if block.expansion != 1:
            # A fused block keeps its own stride, and has no rate: the released code can't dilate it.
            dense = {'kernel_size': block.kernel, 'stride': block.stride} if block.fused else {'kernel_size': 1}
            net = conv2d(net, make_divisible(depth * block.expansion, 8, 8), scope='expand', **dense)
        if not block.fused:
            net = depthwise_conv2d(net, block.kernel, scope='depthwise', stride=stride, rate=rate)
    depthwise = net
    if block.squeeze:
        net = _squeeze_excite(net)
    # The effective stride counts: a block whose stride went into dilation may be residual.
    residual = block.residual and stride == 1 and depth == filters
    return conv2d(net, filters, 1, scope='project', activation=None, added=inputs if residual else None), depthwise


def _squeeze_excite(inputs: tf.Tensor) -> tf.Tensor:
    """Gate from the mean over the image, through a quarter of the channels."""
    depth = inputs.shape.as_list()[-1]
    with tf.variable_scope('squeeze_excite'), slim.arg_scope([conv2d], normalizer=biases):
        gate = image_mean(inputs)
        gate = conv2d(gate, make_divisible(depth / 4, 8, 8), 1, scope='Conv')
        return inputs * conv2d(gate, depth, 1, scope='Conv_1', activation=quantized_sigmoid)


def backbone(name: str, build: Callable[..., Features], network: Network, output_strides: tuple[int, ...],
             **special: Any) -> Backbone:
    """The record of a MobileNet: all of them share pixels and batch-norm constants; `special` are fields of others."""
    return Backbone(
        name=name, walk=build, scope=network.scope, pixels=UNIT_RANGE, pad_value=MID_GREY,
        batch_norm=BatchNorm(decay=0.997, epsilon=1e-3), output_strides=output_strides, taps=tuple(network.taps),
        **special)

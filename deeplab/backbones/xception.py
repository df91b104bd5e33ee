"""Xception as DeepLabv3+ modified it (Chen et al., 2018, section 3.2 and figure 4), in the released names."""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deeplab.backbones.backbone import MID_GREY, UNIT_RANGE, Backbone, BatchNorm, Features
from deeplab.compat import slim, tf
from deeplab.layers.conv import Layer, conv2d, depthwise_conv2d, relu_of_identity, separable_conv2d
from deeplab.strides import plan


class Block(NamedTuple):
    """Units of three separable convolutions; the last one of the last unit has the stride."""

    scope: str
    depths: tuple[int, int, int]
    shortcut: str | None  # 'conv', 'sum' or None
    units: int
    stride: int
    relu_inside: bool = False  # after each convolution; otherwise before each


def blocks_of(entry: Sequence[tuple[int, int]], middle_units: int) -> tuple[Block, ...]:
    """Entry flow of (depth, stride), middle flow of 728 channels, exit flow."""
    return (
        *(Block(f'entry_flow/block{i}', (depth,) * 3, 'conv', 1, stride) for i, (depth, stride) in enumerate(entry, 1)),
        Block('middle_flow/block1', (728,) * 3, 'sum', middle_units, 1),
        Block('exit_flow/block1', (728, 1024, 1024), 'conv', 1, 2),
        Block('exit_flow/block2', (1536, 1536, 2048), None, 1, 1, relu_inside=True),
    )


SHORT_ENTRY = ((128, 2), (256, 2), (728, 2))
LONG_ENTRY = ((128, 2), (256, 1), (256, 2), (728, 1), (728, 2))
SHORT_TAPS = {'entry_flow/block2': 4, 'entry_flow/block3': 8, 'exit_flow/block1': 16}
LONG_TAPS = {'entry_flow/block3': 4, 'entry_flow/block5': 8, 'exit_flow/block1': 16}


def xception(scope: str, blocks: Sequence[Block], tap_blocks: Mapping[str, int], images: tf.Tensor,
             output_stride: int, *, multi_grid: Sequence[int] | None = None,
             use_bounded_activation: bool = False) -> Features:
    """Features of normalised images `[N, H, W, 3]`.

    The taps (`tap_blocks`: block -> nominal stride) are the second separable convolutions of the last units.

    Options:
      multi_grid: factors of the rates of the last block's three convolutions; None: all 1
      use_bounded_activation: ReLU6 and clipping keep values within [-6, 6]; padding is SAME

    Raises:
      ValueError: multi_grid has another length than 3.
    """
    strides = [s for block in blocks for s in [1] * (block.units - 1) + [block.stride]]
    (stride, _), _, *planned = plan([2, 1, *strides], output_stride)
    layers = iter(planned)
    grid = _grid(scope, multi_grid)
    seconds = {}
    initializer = tf.truncated_normal_initializer(stddev=0.09)
    relu = tf.nn.relu6 if use_bounded_activation else tf.nn.relu
    padding = 'SAME' if use_bounded_activation else 'FIXED'
    with tf.variable_scope(scope), slim.arg_scope(
            [conv2d, depthwise_conv2d], initializer=initializer, padding=padding):
        with tf.variable_scope('entry_flow'):
            net = conv2d(images, 32, 3, scope='conv1_1', stride=stride, activation=relu)
            net = conv2d(net, 64, 3, scope='conv1_2', activation=relu)
        for block in blocks:
            rates = grid if block is blocks[-1] else (1, 1, 1)
            for i, (stride, rate) in enumerate(itertools.islice(layers, block.units), 1):
                with tf.variable_scope(f'{block.scope}/unit_{i}/xception_module'):
                    net, seconds[block.scope] = _unit(net, block, stride, rate, rates, relu, use_bounded_activation,
                                                      block.scope in tap_blocks)
    return Features(net, {nominal: seconds[block] for block, nominal in tap_blocks.items()})


def _unit(inputs: tf.Tensor, block: Block, stride: int, rate: int, grid: Sequence[int], relu: Layer, bounded: bool,
          tapped: bool) -> tuple[tf.Tensor, tf.Tensor]:
    """(output, second separable convolution); where that isn't `tapped`, with the ReLU that is before the third."""
    limit = _clip if bounded else tf.identity
    inside = relu if block.relu_inside else limit
    initializer = tf.truncated_normal_initializer(stddev=0.09)
    # A ReLU before a convolution goes to the batch norm of the one before, which our kernel does in one.
    onward = inside if block.relu_inside else _clipped_relu6 if bounded else relu_of_identity
    net, convolutions = inputs if block.relu_inside else relu(inputs), []
    for i, depth in enumerate(block.depths):
        bare = i == 2 or (tapped and i == 1)
        net = separable_conv2d(
            net, depth, scope=f'separable_conv{i + 1}', depthwise_initializer=initializer,
            pointwise_initializer=initializer, stride=stride if i == 2 else 1, rate=rate * grid[i],
            padding='SAME' if bounded else 'FIXED', depthwise_activation=inside, activation=inside if bare else onward)
        convolutions.append(net)
        if tapped and i == 1 and not block.relu_inside:
            net = relu(net)
    if block.shortcut == 'conv':
        inputs = conv2d(inputs, block.depths[-1], 1, scope='shortcut', stride=stride, activation=None)
    if block.shortcut:
        net = limit(net) + limit(inputs)
        net = relu(net) if bounded else net
    return net, convolutions[1]


def _clip(inputs: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(inputs, -6.0, 6.0)


def _clipped_relu6(inputs: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu6(_clip(inputs))


def _grid(scope: str, multi_grid: Sequence[int] | None) -> Sequence[int]:
    if multi_grid is not None and len(multi_grid) != 3:
        raise ValueError(f'multi_grid is {list(multi_grid)}; the last block of {scope} has 3 convolutions')
    return multi_grid or (1, 1, 1)


def _backbone(name: str, entry: Sequence[tuple[int, int]], middle_units: int, tap_blocks: Mapping[str, int],
              **special: Any) -> Backbone:
    return Backbone(
        name=name, walk=functools.partial(xception, name, blocks_of(entry, middle_units), tap_blocks), scope=name,
        pixels=UNIT_RANGE, pad_value=MID_GREY, batch_norm=BatchNorm(decay=0.9997, epsilon=1e-3),
        output_strides=(4, 8, 16, 32), **special)


BACKBONES = (
    _backbone('xception_41', SHORT_ENTRY, 8, SHORT_TAPS, tested='for_its_family'),
    _backbone('xception_65', SHORT_ENTRY, 16, SHORT_TAPS),
    _backbone('xception_71', LONG_ENTRY, 16, LONG_TAPS),
)

"""ResNet v1 (He et al., 2016), its beta variants, and v2 (pre-activation), in slim's names.

As in slim, the *last* unit of a block carries its stride. Beta variants have three 3x3 convolutions for the 7x7.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

from deeplab.backbones.backbone import MEAN_RGB, MID_GREY, UNIT_RANGE, Backbone, BatchNorm, Features, Pixels, Rgb
from deeplab.compat import slim, tf
from deeplab.layers.conv import Layer, batch_norm, biases, conv2d
from deeplab.layers.recompute import recomputed
from deeplab.layers.resize import resize_bilinear, scaled_size, spatial_size
from deeplab.strides import plan

# inputs, width, stride, rate, whether it is tapped -> output, and what a tap sees
Unit: TypeAlias = Callable[..., tuple[tf.Tensor, tf.Tensor]]
Units: TypeAlias = tuple[int, int, int, int]


class Variant(NamedTuple):
    """A ResNet by its row of the paper's table 1."""

    scope: str
    unit: Unit
    units: Units  # of blocks 1 to 4
    root: tuple[int, ...]  # filters: of one 7x7 convolution, or of three 3x3 ones

    @property
    def preactivated(self) -> bool:
        return self.unit is bottleneck_v2


ROOT_STRIDE = 4
BOTTLENECK_EXPANSION = 4


def lite_bottleneck_v1(inputs: tf.Tensor, width: int, stride: int, rate: int, tapped: bool
                       ) -> tuple[tf.Tensor, tf.Tensor]:
    """Two 3x3 convolutions, both dilated; returns (output, residual or, where that isn't tapped, the output)."""
    with tf.variable_scope('lite_bottleneck_v1'):
        shortcut = _shortcut(inputs, inputs, width, stride, batch_norm)
        net = conv2d(inputs, width, 3, scope='conv1', rate=rate)
        return _added(shortcut, tapped, net, width, 3, scope='conv2', stride=stride, rate=rate, padding='FIXED')


def bottleneck_v1(inputs: tf.Tensor, width: int, stride: int, rate: int, tapped: bool
                  ) -> tuple[tf.Tensor, tf.Tensor]:
    """1x1, 3x3, 1x1 convolutions; returns (output, residual or, where that isn't tapped, the output)."""
    with tf.variable_scope('bottleneck_v1'):
        depth = width * BOTTLENECK_EXPANSION
        shortcut = _shortcut(inputs, inputs, depth, stride, batch_norm)
        net = conv2d(inputs, width, 1, scope='conv1')
        net = conv2d(net, width, 3, scope='conv2', stride=stride, rate=rate, padding='FIXED')
        return _added(shortcut, tapped, net, depth, 1, scope='conv3')


def _added(shortcut: tf.Tensor, tapped: bool, *args: Any, **options: Any) -> tuple[tf.Tensor, tf.Tensor]:
    """ReLU of shortcut + convolution; only a tap wants that by itself, otherwise our kernel does both in one."""
    if tapped:
        residual = conv2d(*args, activation=None, **options)
        return tf.nn.relu(shortcut + residual), residual
    net = conv2d(*args, activation=tf.nn.relu, added=shortcut, **options)
    return net, net


def bottleneck_v2(inputs: tf.Tensor, width: int, stride: int, rate: int, tapped: bool
                  ) -> tuple[tf.Tensor, tf.Tensor]:
    """Batch norm and ReLU before each convolution; returns (output, output of conv1)."""
    with tf.variable_scope('bottleneck_v2'):
        depth = width * BOTTLENECK_EXPANSION
        preact = batch_norm(inputs, scope='preact', activation=tf.nn.relu)
        shortcut = _shortcut(inputs, preact, depth, stride, biases)
        reduced = conv2d(preact, width, 1, scope='conv1')
        net = conv2d(reduced, width, 3, scope='conv2', stride=stride, rate=rate, padding='FIXED')
        return shortcut + conv2d(net, depth, 1, scope='conv3', normalizer=biases, activation=None), reduced


def _shortcut(identity: tf.Tensor, projected: tf.Tensor, depth: int, stride: int, normalizer: Layer) -> tf.Tensor:
    if identity.shape.as_list()[-1] == depth:
        return identity if stride == 1 else identity[:, ::stride, ::stride]
    return conv2d(projected, depth, 1, scope='shortcut', stride=stride, normalizer=normalizer, activation=None)


def resnet(variant: Variant, images: tf.Tensor, output_stride: int, *, multi_grid: Sequence[int] | None = None,
           cascaded_blocks: int = 0, width_multiplier: float = 1.0, halve_after: tuple[int, int] | None = None,
           ) -> Features:
    """Features of normalised images `[N, H, W, 3]`; the sections below are DeepLabv3's (arXiv:1706.05587).

    No released checkpoint has cascaded blocks; they live in a scope of their own, `cascade`, so that ImageNet weights
    still cover the whole backbone.

    Options:
      multi_grid: factors of the rates of the units of block 4 and of the cascaded ones (section 3.2.1); None: all 1
      cascaded_blocks: how often block 4 is repeated, as block5, block6, ... (section 3.2: 3 times)
      width_multiplier: factor of every convolution's filters
      halve_after: (block, unit), from 1: the sides of that unit's output are halved for the units behind it, and the
        output itself is `Features.fork`; None: never

    Raises:
      ValueError: multi_grid has another length than block 4.
    """
    def width(filters: int) -> int:
        return int(filters * width_multiplier)

    first, second, third, fourth, *more = _places(variant, output_stride, multi_grid, cascaded_blocks, halve_after)
    with slim.arg_scope([conv2d], initializer=slim.variance_scaling_initializer(factor=2.0)):
        with tf.variable_scope(variant.scope):
            net = _root(images, [width(filters) for filters in variant.root], variant.preactivated)
            block1 = _block('block1', net, variant, width(64), first)
            block2 = _block('block2', block1.output, variant, width(128), second)
            block3 = _block('block3', block2.output, variant, width(256), third)
            block4 = _block('block4', block3.output, variant, width(512), fourth)
        blocks = [block1, block2, block3, block4]
        if more:
            with tf.variable_scope('cascade'):
                for i, places in enumerate(more, 5):
                    blocks.append(_block(f'block{i}', blocks[-1].output, variant, width(512), places))
        net = blocks[-1].output
        if variant.preactivated:
            with tf.variable_scope(variant.scope):
                net = batch_norm(net, scope='postnorm', activation=tf.nn.relu)
    fork = next((block.fork for block in blocks if block.fork is not None), None)
    return Features(net, {4: block1.tap, 8: block2.tap, 16: block3.tap}, [block.finest for block in blocks], fork)


class Place(NamedTuple):
    """How a unit is built where it stands."""

    stride: int
    rate: int
    halved: bool  # whether the units behind it see its output at half the size


def _places(variant: Variant, output_stride: int, multi_grid: Sequence[int] | None, cascaded_blocks: int,
            halve_after: tuple[int, int] | None) -> list[list[Place]]:
    """Of each block its units. The last one has the block's stride; the last block has none."""
    counts = [*variant.units, *[variant.units[-1]] * cascaded_blocks]
    strides = [s for i, n in enumerate(counts, 1) for s in [1] * (n - 1) + [2 if i < len(counts) else 1]]
    planned = iter(plan([ROOT_STRIDE, *strides], output_stride)[1:])
    grid = _grid(variant, multi_grid)
    fork = None if halve_after is None else tuple(halve_after)
    return [[Place(stride, rate * (grid[unit - 1] if block >= 4 else 1), (block, unit) == fork)
             for unit, (stride, rate) in enumerate(itertools.islice(planned, count), 1)]
            for block, count in enumerate(counts, 1)]


class Block(NamedTuple):
    """What the units of a block make."""

    output: tf.Tensor
    finest: tf.Tensor  # its last output before its stride
    tap: tf.Tensor  # what a decoder reads of it
    fork: tf.Tensor | None  # the output that was halved, where one of its units' was


def _block(scope: str, net: tf.Tensor, variant: Variant, width: int, places: Sequence[Place]) -> Block:
    # The finest features of the block before its stride: in v2 the last unit's first convolution has them.
    tapped = len(places) - (1 if variant.preactivated else 2)
    fork = None
    with tf.variable_scope(scope):
        for i, place in enumerate(places):
            with tf.variable_scope(f'unit_{i + 1}'):
                net, *end = recomputed(_unit, net, variant.unit, i == tapped, width, place.stride, place.rate)
            if i == tapped:
                tap, = end
            if place.stride == 1:
                finest = net
            if place.halved:
                fork = net
                net = resize_bilinear(net, scaled_size(spatial_size(net), 0.5))
    return Block(net, finest, tap, fork)


def _unit(inputs: tf.Tensor, unit: Unit, tapped: bool, *arguments: int) -> tuple[tf.Tensor, ...]:
    """The outputs of a unit that somebody uses."""
    net, end = unit(inputs, *arguments, tapped)
    return (net, end) if tapped else (net,)


def _root(images: tf.Tensor, filters: Sequence[int], preactivated: bool) -> tf.Tensor:
    if len(filters) == 1:
        bare = {'normalizer': biases, 'activation': None} if preactivated else {}
        net = conv2d(images, filters[0], 7, scope='conv1', stride=2, padding='FIXED', **bare)
    else:
        net = images
        for i, (depth, stride) in enumerate(zip(filters, (2, 1, 1), strict=True), 1):
            net = conv2d(net, depth, 3, scope=f'conv1_{i}', stride=stride, padding='FIXED')
    return tf.nn.max_pool2d(net, 3, 2, 'SAME')


def _grid(variant: Variant, multi_grid: Sequence[int] | None) -> Sequence[int]:
    units = variant.units[-1]
    if multi_grid is not None and len(multi_grid) != units:
        raise ValueError(f'multi_grid is {list(multi_grid)}; block 4 of {variant.scope} has {units} units')
    return multi_grid or [1] * units


PLAIN_ROOT = (64,)
V1_BATCH_NORM = BatchNorm(decay=0.95, epsilon=1e-5)
V2_BATCH_NORM = BatchNorm(decay=0.997, epsilon=1e-5)


def _backbone(name: str, variant: Variant, pixels: Pixels, pad_value: Rgb, constants: BatchNorm, tested: str,
              ) -> Backbone:
    return Backbone(
        name=name, walk=functools.partial(resnet, variant), scope=variant.scope, pixels=pixels, pad_value=pad_value,
        batch_norm=constants, output_strides=(4, 8, 16, 32), tested=tested)


def _v1(name: str, unit: Unit, units: Units, pad_value: Rgb, tested: str = 'with_deeplab') -> Backbone:
    return _backbone(name, Variant(name, unit, units, PLAIN_ROOT), MEAN_RGB, pad_value, V1_BATCH_NORM, tested)


def _beta(name: str, unit: Unit, units: Units, root: tuple[int, ...], tested: str = 'with_deeplab') -> Backbone:
    """A beta variant has the scope of the plain one."""
    return _backbone(f'{name}_beta', Variant(name, unit, units, root), UNIT_RANGE, MID_GREY, V1_BATCH_NORM, tested)


def _v2(name: str, units: Units, tested: str = 'with_deeplab') -> Backbone:
    """slim's v2 checkpoints were trained with Inception's preprocessing."""
    return _backbone(name, Variant(name, bottleneck_v2, units, PLAIN_ROOT), UNIT_RANGE, MID_GREY, V2_BATCH_NORM, tested)


BACKBONES = (
    # The released code subtracts the mean for resnet_v1_18 but pads its inputs with grey.
    _v1('resnet_v1_18', lite_bottleneck_v1, (2, 2, 2, 2), MID_GREY, tested='always'),
    _beta('resnet_v1_18', lite_bottleneck_v1, (2, 2, 2, 2), (16, 16, 32)),
    _v1('resnet_v1_50', bottleneck_v1, (3, 4, 6, 3), MEAN_RGB.mean),
    _beta('resnet_v1_50', bottleneck_v1, (3, 4, 6, 3), (64, 64, 128), tested='for_its_family'),
    _v1('resnet_v1_101', bottleneck_v1, (3, 4, 23, 3), MEAN_RGB.mean),
    _beta('resnet_v1_101', bottleneck_v1, (3, 4, 23, 3), (64, 64, 128)),
    _v1('resnet_v1_152', bottleneck_v1, (3, 8, 36, 3), MEAN_RGB.mean, tested='alone'),
    _beta('resnet_v1_152', bottleneck_v1, (3, 8, 36, 3), (64, 64, 128), tested='alone'),
    _beta('resnet_v1_269', bottleneck_v1, (3, 30, 48, 8), (64, 64, 128), tested='alone'),  # PSPNet's deepest
    _v2('resnet_v2_50', (3, 4, 6, 3), tested='for_its_family'),
    _v2('resnet_v2_101', (3, 4, 23, 3)),
    _v2('resnet_v2_152', (3, 8, 36, 3)),
)

"""PNASNet (Liu et al., 2018) and HNASNet, Auto-DeepLab's hierarchical search (Liu et al., 2019), in the released names.

A cell combines pairs of earlier states; the network is a sequence of cells at levels 0 to 3, strides 4 to 32.
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deeplab.backbones.backbone import MID_GREY, UNIT_RANGE, Backbone, BatchNorm, Features
from deeplab.compat import slim, tf
from deeplab.layers.conv import Layer, batch_norm, conv2d, depthwise_conv2d
from deeplab.layers.drop_path import drop_path
from deeplab.layers.resize import resize_bilinear, scaled_size, spatial_size


class Op(NamedTuple):
    """An operation on an earlier state of the cell: 0 is its input, 1 the cell before, 2.. the combinations so far."""

    kind: str  # 'separable' (twice), 'atrous', 'max_pool' or 'none'
    kernel: int
    state: int


class Network(NamedTuple):
    """Scope, the pairs that a cell adds up, levels of the cells by output stride, and taps."""

    scope: str
    cell: tuple[tuple[Op, Op], ...]
    levels: Mapping[int, tuple[int, ...]]
    taps: Mapping[int, int]  # nominal stride -> cell; -1 is the stem


PNASNET = Network(
    scope='pnasnet',
    cell=(
        (Op('separable', 5, 1), Op('max_pool', 3, 1)),
        (Op('separable', 7, 0), Op('max_pool', 3, 0)),
        (Op('separable', 5, 0), Op('separable', 3, 0)),
        (Op('separable', 3, 4), Op('max_pool', 3, 0)),
        (Op('separable', 3, 1), Op('none', 1, 0)),
    ),
    levels={
        8: (1,) * 12,
        16: (1,) * 4 + (2,) * 8,
        32: (1,) * 4 + (2,) * 4 + (3,) * 4,
    },
    taps={4: -1, 8: 3, 16: 7},
)
HNASNET = Network(
    scope='hnasnet',
    cell=(
        (Op('atrous', 5, 1), Op('separable', 3, 0)),
        (Op('separable', 3, 1), Op('atrous', 3, 0)),
        (Op('separable', 3, 3), Op('separable', 3, 1)),
        (Op('separable', 5, 4), Op('separable', 5, 2)),
        (Op('separable', 5, 3), Op('atrous', 5, 5)),
    ),
    # It ends at stride 8 whatever is asked for; only the classification head goes on to 16 or 32.
    levels=dict.fromkeys((8, 16, 32), (0, 0, 0, 1, 2, 1, 2, 2, 3, 3, 2, 1)),
    taps={4: 2, 8: 5, 16: 7},
)
COARSEST_LEVEL = 3
HEAD_FILTERS = {8: 256, 16: 512, 32: 1024}


def nas(network: Network, images: tf.Tensor, output_stride: int, *, nas_stem_output_num_conv_filters: int = 20,
        nas_use_classification_head: bool = False, nas_remove_os32_stride: bool = False,
        drop_path_keep_prob: float = 1.0, drop_path_steps: int = 0) -> Features:
    """The channels of a cell follow its level: PNASNet has other variables at every output stride.

    Options:
      nas_stem_output_num_conv_filters: filters of a cell's operations at level 0; each level doubles them
      nas_use_classification_head: ends in the 2048 channels of the classifier, at the output stride
      nas_remove_os32_stride: keeps level 3 at the size of level 2
      drop_path_keep_prob: probability with which training keeps an operation of the last cell; nearer to 1 in those
        before it
      drop_path_steps: steps over which the probabilities fall to that; 0: they begin there

    Raises:
      ValueError: the cells end at another output stride, and there is no head that goes on to it.
    """
    levels = network.levels[output_stride]
    ends_at = 4 << levels[-1]
    if output_stride != ends_at and not nas_use_classification_head:
        raise ValueError(f'{network.scope} ends at output stride {ends_at}, not {output_stride}')
    initializer = slim.variance_scaling_initializer(factor=1 / 3, mode='FAN_IN', uniform=True)
    with tf.variable_scope(network.scope), slim.arg_scope(
            [conv2d, depthwise_conv2d], initializer=initializer, padding='FIXED', normalizer=None, activation=None):
        outputs = _stem(images)
        for i, (previous_level, level) in enumerate(itertools.pairwise((0, *levels))):
            net, before = outputs[-1], outputs[-2]
            free = nas_remove_os32_stride and COARSEST_LEVEL in (level, previous_level)
            if level < previous_level and not free:
                net = resize_bilinear(net, scaled_size(spatial_size(net), 2))
            stride = 2 if level > previous_level and not free else 1
            with tf.variable_scope(f'cell_{i}'):
                keep = 1 - (i + 1) / len(levels) * (1 - drop_path_keep_prob)
                drop = functools.partial(drop_path, keep=keep, steps=drop_path_steps, scope='drop_path')
                filters = nas_stem_output_num_conv_filters << level
                outputs.append(_cell(network.cell, net, before, filters, stride, drop))
        net = tf.nn.relu(outputs[-1])
        if nas_use_classification_head:
            net = _classification_head(net, levels[-1], output_stride // ends_at)
    # outputs: the stem's two, then the cells.
    return Features(net, {stride: outputs[2 + cell] for stride, cell in network.taps.items()})


def _stem(images: tf.Tensor) -> list[tf.Tensor]:
    """Outputs at strides 2 and 4."""
    net = conv2d(images, 64, 3, scope='conv0', stride=2)
    net = batch_norm(net, scope='conv0_bn', activation=tf.nn.relu)
    net = conv2d(net, 64, 3, scope='conv1')
    first = batch_norm(net, scope='conv1_bn')
    net = conv2d(tf.nn.relu(first), 128, 3, scope='conv2', stride=2)
    return [first, batch_norm(net, scope='conv2_bn')]


def _cell(cell: Sequence[tuple[Op, Op]], net: tf.Tensor, before: tf.Tensor, filters: int, stride: int, drop: Layer
          ) -> tf.Tensor:
    before = resize_bilinear(before, spatial_size(net))
    if before.shape.as_list()[-1] != filters:
        before = batch_norm(conv2d(tf.nn.relu(before), filters, 1, scope='prev_1x1'), scope='prev_bn')
    net = batch_norm(conv2d(tf.nn.relu(net), filters, 1, scope='1x1'), scope='beginning_bn')
    states = [net, before]
    for i, pair in enumerate(cell):
        with tf.variable_scope(f'comb_iter_{i}'):
            summands = []
            for side, op in zip(('left', 'right'), pair, strict=True):
                with tf.variable_scope(side):
                    # Only the cell's two inputs are strided; later states have the new size already.
                    result = OPERATIONS[op.kind](states[op.state], op.kernel, filters, stride if op.state < 2 else 1)
                    summands.append(result if op.kind == 'none' else drop(result))
            states.append(summands[0] + summands[1])
    return tf.concat(states[2:], 3)


def _separable(net: tf.Tensor, kernel: int, filters: int, stride: int) -> tf.Tensor:
    """Two separable convolutions; each has both kernels in one scope and batch norm only behind it."""
    for i, stride_i in enumerate((stride, 1), 1):
        scope = f'separable_{kernel}x{kernel}_{i}'
        net = depthwise_conv2d(tf.nn.relu(net), kernel, scope=scope, stride=stride_i)
        net = conv2d(net, filters, 1, scope=scope, weights='pointwise_weights')
        net = batch_norm(net, scope=f'bn_sep_{kernel}x{kernel}_{i}')
    return net


def _atrous(net: tf.Tensor, kernel: int, filters: int, stride: int) -> tf.Tensor:
    """Rate 2, or half the size at rate 1."""
    net = tf.nn.relu(net)
    if stride == 2:
        net = resize_bilinear(net, scaled_size(spatial_size(net), 0.5))
    net = conv2d(net, filters, kernel, scope=f'atrous_{kernel}x{kernel}', rate=2 // stride)
    return batch_norm(net, scope=f'bn_atr_{kernel}x{kernel}')


def _max_pool(net: tf.Tensor, kernel: int, filters: int, stride: int) -> tf.Tensor:
    return _project(tf.nn.max_pool2d(net, kernel, stride, 'SAME'), filters)


def _none(net: tf.Tensor, kernel: int, filters: int, stride: int) -> tf.Tensor:
    if stride == 1 and net.shape.as_list()[-1] == filters:
        return net
    return batch_norm(conv2d(tf.nn.relu(net), filters, 1, scope='1x1', stride=stride), scope='bn_1')


def _project(net: tf.Tensor, filters: int) -> tf.Tensor:
    if net.shape.as_list()[-1] == filters:
        return net
    return batch_norm(conv2d(net, filters, 1, scope='1x1'), scope='bn_1')


OPERATIONS = {'separable': _separable, 'atrous': _atrous, 'max_pool': _max_pool, 'none': _none}


def _classification_head(net: tf.Tensor, level: int, stride_left: int) -> tf.Tensor:
    """3x3 convolutions as to stride 32, dilated once `stride_left` is used up, and a 1x1 one to 2048 channels."""
    rate = 1
    for target in [4 << i for i in range(level + 1, COARSEST_LEVEL + 1)]:
        stride = 2 if stride_left > 1 else 1
        stride_left //= stride
        rate *= 2 // stride
        net = conv2d(net, HEAD_FILTERS[target], 3, scope=f'downsample_os{target}_conv', stride=stride, rate=rate)
        net = batch_norm(net, scope=f'downsample_os{target}_bn', activation=tf.nn.relu)
    net = conv2d(net, 2048, 1, scope='classification_head_conv')
    return batch_norm(net, scope='classification_head_bn', activation=tf.nn.relu)


def _backbone(network: Network, **special: Any) -> Backbone:
    return Backbone(
        name=f'nas_{network.scope}', walk=functools.partial(nas, network), scope=network.scope, pixels=UNIT_RANGE,
        pad_value=MID_GREY, batch_norm=BatchNorm(decay=0.9997, epsilon=1e-3), output_strides=tuple(network.levels),
        taps=tuple(network.taps), **special)


BACKBONES = (
    _backbone(PNASNET, changes_with_stride='its channels depend on the output stride'),
    _backbone(HNASNET, changes_with_stride='it ends at stride 8, and a head goes on from there',
              needs={stride: {'nas_use_classification_head': True} for stride in (16, 32)}),
)

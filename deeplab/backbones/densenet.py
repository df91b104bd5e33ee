"""DenseNet with bottlenecks (Huang et al., 2017, arXiv:1608.06993, table 1), dilated for dense prediction.

DenseNet-121 is the default; 169 has blocks 6, 12, 32, 32, 201 has 6, 12, 48, 32, and 264 has 6, 12, 64, 48. The options
are those of the from-scratch nets of dongzhuoyao/tensorpack (branch deeplab); what those call dense30 has blocks
6, 8, 8, 8.
"""

from collections.abc import Sequence

from console.choices import choose
from deeplab.backbones.backbone import Backbone, BatchNorm, Features, Pixels
from deeplab.compat import slim, tf
from deeplab.layers.average import average_pool2d
from deeplab.layers.conv import batch_norm, conv2d
from deeplab.layers.recompute import recomputed
from deeplab.layers.squeeze import squeeze_excite
from deeplab.strides import plan

ROOT_STRIDE = 4
BOTTLENECK = 4  # a layer's 1x1 convolution has this many times the growth rate
STEM = (64, 64, 128)  # filters of the three 3x3 convolutions
RESIDUAL_REDUCTION = 4


def densenet(images: tf.Tensor, output_stride: int, *, blocks: Sequence[int] = (6, 12, 24, 16), growth: int = 32,
             compression: float = 0.5, stem: str = '7x7', later_pooling: bool = True,
             dilations: Sequence[int] | None = None, squeeze_ratio: int = 0, transition: str = 'pool',
             transition_squeeze_ratio: int = 0) -> Features:
    """Features of normalised images `[N, H, W, 3]`; the taps are the blocks' outputs before their transitions.

    Options:
      blocks: layers of each dense block
      growth: maps that a layer adds (the growth rate, section 3)
      compression: share of the channels that a transition keeps (section 3)
      stem: '7x7', or '3x3': three of them, and a 2x2 pooling
      later_pooling: a transition whose stride the output stride takes averages the pixels that it would have; otherwise
        it doesn't pool
      dilations: rates, one for each block; None: those that follow from the output stride
      squeeze_ratio: squeeze-and-excitation of a layer's new maps, through so many times fewer channels; 0: none
      transition: 'pool', or 'residual': a strided bottleneck beside a projection
      transition_squeeze_ratio: squeeze-and-excitation of a transition's output, likewise; 0: none

    Raises:
      ValueError: a choice there isn't, or another number of dilations than of blocks.
    """
    transit = choose('transition', transition, {'pool': _pooled_transition, 'residual': _residual_transition})
    root = choose('stem', stem, {'7x7': _root_7x7, '3x3': _root_3x3})
    if dilations is not None and len(dilations) != len(blocks):
        raise ValueError(f'dilations are {list(dilations)}; there are {len(blocks)} blocks')
    # A block and the transition behind it, in turn.
    layers = plan([ROOT_STRIDE, *[1, 2] * (len(blocks) - 1), 1], output_stride)[1:]
    rates, transitions = dilations or [rate for _, rate in layers[::2]], layers[1::2]
    outputs = []
    # Pre-activation: a convolution has no bias, because a batch norm follows sooner or later. dongzhuoyao's
    # have one.
    with tf.variable_scope('densenet'), slim.arg_scope(
            [conv2d], initializer=slim.variance_scaling_initializer(factor=2.0), normalizer=None, activation=None):
        net = root(images, growth)
        for i, count in enumerate(blocks):
            with tf.variable_scope(f'block{i + 1}'):
                net = _block(net, count, growth, rates[i], squeeze_ratio)
            outputs.append(net)
            if i < len(transitions):
                stride, rate = transitions[i]
                with tf.variable_scope(f'transition{i + 1}'):
                    net = transit(net, int(net.shape.as_list()[-1] * compression), stride, rate, later_pooling,
                                  transition_squeeze_ratio)
        net = _activated(net, 'postnorm')
    return Features(net, {ROOT_STRIDE << i: each for i, each in enumerate(outputs[:-1])}, outputs)


def _root_7x7(images: tf.Tensor, growth: int) -> tf.Tensor:
    net = conv2d(images, 2 * growth, 7, scope='conv1', stride=2, padding='FIXED', normalizer=batch_norm,
                 activation=tf.nn.relu)
    return tf.nn.max_pool2d(net, 3, 2, 'SAME')


def _root_3x3(images: tf.Tensor, _: int) -> tf.Tensor:
    """As in deep ResNet stems; dongzhuoyao's has neither batch norm nor ReLU between the three, nor behind its 7x7."""
    net = images
    for i, (filters, stride) in enumerate(zip(STEM, (2, 1, 1), strict=True), 1):
        net = conv2d(net, filters, 3, scope=f'conv1_{i}', stride=stride, padding='FIXED', normalizer=batch_norm,
                     activation=tf.nn.relu)
    return tf.nn.max_pool2d(net, 2, 2, 'SAME')


def _block(net: tf.Tensor, count: int, growth: int, rate: int, squeeze_ratio: int) -> tf.Tensor:
    for i in range(count):
        with tf.variable_scope(f'layer{i + 1}'):
            net = tf.concat([net, recomputed(_layer, net, growth, rate, squeeze_ratio)], 3)
    return net


def _layer(inputs: tf.Tensor, growth: int, rate: int, squeeze_ratio: int) -> tf.Tensor:
    """The `growth` maps that a layer adds."""
    net = conv2d(_activated(inputs, 'preact1'), BOTTLENECK * growth, 1, scope='conv1')
    net = conv2d(_activated(net, 'preact2'), growth, 3, scope='conv2', rate=rate)
    return squeeze_excite(net, squeeze_ratio, scope='squeeze_excite') if squeeze_ratio else net


def _activated(inputs: tf.Tensor, scope: str) -> tf.Tensor:
    return batch_norm(inputs, scope=scope, activation=tf.nn.relu)


def _pooled_transition(inputs: tf.Tensor, filters: int, stride: int, rate: int, later_pooling: bool,
                       squeeze_ratio: int) -> tf.Tensor:
    net = conv2d(_activated(inputs, 'preact'), filters, 1, scope='conv')
    if stride > 1:
        net = average_pool2d(net, 2, stride, 'SAME')
    elif later_pooling and rate == 1:
        net = average_pool2d(net, 2, 1, 'SAME')
    elif later_pooling:
        net = _average_of_pairs(_average_of_pairs(net, rate, 1), rate, 2)
    return squeeze_excite(net, squeeze_ratio, scope='squeeze_excite') if squeeze_ratio else net


def _average_of_pairs(inputs: tf.Tensor, rate: int, axis: int) -> tf.Tensor:
    """2-wide average pooling with stride 1, dilated; at the far edge, as in TensorFlow, of what is inside alone."""
    if axis == 1:
        shifted = tf.concat([inputs[:, rate:], inputs[:, -rate:]], 1)
    else:
        shifted = tf.concat([inputs[:, :, rate:], inputs[:, :, -rate:]], 2)
    shifted.set_shape(inputs.shape)
    return (inputs + shifted) / 2


def _residual_transition(inputs: tf.Tensor, filters: int, stride: int, rate: int, _: bool,
                         squeeze_ratio: int) -> tf.Tensor:
    """dongzhuoyao's: a bottleneck whose 3x3 convolution has the stride, gated, and added to a strided projection."""
    inner = filters // RESIDUAL_REDUCTION
    net = conv2d(_activated(inputs, 'preact1'), inner, 1, scope='conv1')
    net = conv2d(_activated(net, 'preact2'), inner, 3, scope='conv2', stride=stride, rate=rate, padding='FIXED')
    net = conv2d(_activated(net, 'preact3'), filters, 1, scope='conv3')
    net = squeeze_excite(net, squeeze_ratio, scope='squeeze_excite') if squeeze_ratio else net
    if stride == 1 and inputs.shape.as_list()[-1] == filters:
        return net + inputs
    return net + conv2d(_activated(inputs, 'shortcut_preact'), filters, 1, scope='shortcut', stride=stride)


# dongzhuoyao's own mean, which is ImageNet's: it subtracts (104, 116, 122) from BGR. It pads with 255, the value of its
# ignored label (before its "newbaseline" with 11); here padding is what the net sees as nothing.
PIXELS = Pixels(mean=(122.0, 116.0, 104.0), scale=1.0)

BACKBONES = (
    Backbone(name='densenet', walk=densenet, scope='densenet', pixels=PIXELS, pad_value=PIXELS.mean,
             batch_norm=BatchNorm(decay=0.997, epsilon=1e-5), output_strides=(4, 8, 16, 32)),
)

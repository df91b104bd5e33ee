"""Fully convolutional networks (Long et al., 2015, arXiv:1411.4038; Shelhamer et al., 2016, arXiv:1605.06211)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeplab.compat import tf
from deeplab.layers.conv import biases, conv2d, conv2d_transpose
from deeplab.layers.resize import spatial_size
from deeplab.nets.net import Outputs
from deeplab.nets.parts.fully_connected import fully_connected
from deeplab.nets.parts.head import takes_options_of

COARSEST = 32
# "At once": the skips start far smaller than the main stream (the reference net voc-fcn8s-atonce).
AT_ONCE_SCALES = {16: 0.01, 8: 0.0001}


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Scores by stride, added up from coarse to fine; fc6 and fc7 only on backbones that have them."""

    fc_channels: int = 4096
    dropout_rate: float = 0.5
    at_once: bool = False  # scales the skips, for training from ImageNet weights without the coarser nets first
    learn_upsampling: bool = True  # between skips; the reference nets fix it, at no cost in accuracy


@takes_options_of(Decoder)
def fcn32s(images, num_classes, backbone, *, training, output_stride, **options) -> Outputs:
    """Logits at full resolution from stride 32 alone."""
    return _fcn((), images, num_classes, backbone, training, output_stride, Decoder(**options))


@takes_options_of(Decoder)
def fcn16s(images, num_classes, backbone, *, training, output_stride, **options) -> Outputs:
    """Logits at full resolution from strides 32 and 16; variables of `fcn32s` keep their names."""
    return _fcn((16,), images, num_classes, backbone, training, output_stride, Decoder(**options))


@takes_options_of(Decoder)
def fcn8s(images, num_classes, backbone, *, training, output_stride, **options) -> Outputs:
    """Logits at full resolution from strides 32, 16 and 8; variables of `fcn16s` keep their names.

    xlmou/Semantic-Segmentation-TensorFlow restores no fc6 and fc7, drops out in evaluation too and upsamples
    with random kernels.
    """
    return _fcn((16, 8), images, num_classes, backbone, training, output_stride, Decoder(**options))


def _fcn(skips: Sequence[int], images, num_classes, backbone, training, output_stride, decoder: Decoder) -> Outputs:
    features = backbone.build(images, output_stride)
    net = features.output
    if backbone.fully_connected:
        # The reference pads the image by 100 pixels for an unpadded fc6; SAME gives each feature a score without it.
        net = fully_connected(net, decoder.fc_channels, backbone, kernel_size=7, rate=1,
                              dropout_rate=decoder.dropout_rate, training=training)
    stride = COARSEST
    with tf.variable_scope('logits'):
        # The paper starts this layer from 0 as well, which leaves everything below without a gradient at first.
        scores = _score(net, num_classes, 'score_32', tf.truncated_normal_initializer(stddev=0.001))
        for skip in skips:
            tap = features.taps[skip]
            kernel = {'scope': f'upsample_{stride}'} if decoder.learn_upsampling else {}
            scores = bilinear_upsampling(scores, stride // skip, spatial_size(tap), **kernel)
            scale = AT_ONCE_SCALES[skip] if decoder.at_once else 1.0
            scores += _score(tap * scale, num_classes, f'score_{skip}', tf.zeros_initializer())
            stride = skip
    # In float32 as a loss is; fixed, as the paper has the last upsampling.
    return Outputs(bilinear_upsampling(tf.cast(scores, tf.float32), stride, spatial_size(images)), {})


def _score(net, num_classes, scope, initializer):
    return conv2d(net, num_classes, 1, scope=scope, initializer=initializer, normalizer=biases, activation=None)


def bilinear_upsampling(net, factor: int, size, scope: str | None = None):
    """`[N, h, w, C]` -> `[N, *size, C]` where h is ceil(size / factor): each feature is centred on its pixels.

    With a `scope` a transposed convolution learns it, from bilinear values; without, it is fixed. Borders are repeated,
    so that a constant stays constant up to the edge.
    """
    if not scope:
        return _interpolated(_interpolated(net, factor, 1), factor, 2)[:, :size[0], :size[1]]
    padded = tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]], 'SYMMETRIC')
    enlarged = [side * factor for side in spatial_size(padded)]
    net = conv2d_transpose(padded, net.shape.as_list()[-1], 2 * factor, scope=scope, initializer=bilinear_initializer,
                           size=enlarged, stride=factor, normalizer=None, activation=None)
    return net[:, factor:factor + size[0], factor:factor + size[1]]


def _interpolated(net, factor, axis):
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


def bilinear_initializer(shape, dtype=tf.float32, partition_info=None):
    """A kernel `[2 factor, 2 factor, C, C]` that interpolates each channel by itself."""
    side, _, outputs, inputs = (int(each) for each in shape)
    return tf.constant(bilinear_kernel(side // 2)[:, :, np.newaxis, np.newaxis] * np.eye(outputs, inputs), dtype)

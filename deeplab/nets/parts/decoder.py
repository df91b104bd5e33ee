"""The decoder of DeepLabv3+ (Chen et al., 2018): low-level features refine the output of the context module."""

import functools
from collections.abc import Mapping, Sequence

from deeplab.compat import tf
from deeplab.layers.classifier import classifier
from deeplab.layers.context import head_separable_conv2d, xavier
from deeplab.layers.conv import Layer, conv2d
from deeplab.layers.resize import Size, resize_bilinear, scaled_size


def decode(features: tf.Tensor, taps: Mapping[int, tf.Tensor], image_size: Size, strides: Sequence[int], *,
           filters: int, separable: bool, sum_merge: bool, is_logits: bool, activation: Layer | None,
           low_level_filters: int = 48, convs: int = 2, kernel_size: int = 3) -> tf.Tensor:
    """Refines `features` with the taps of `strides` in turn (descending), ending at size `image_size` / last stride.

    With `sum_merge` the projected tap and one convolution of the features are added; otherwise both are concatenated
    and go through `convs` convolutions (section 4.1 and table 2 of the paper). With `is_logits` both summands are
    classifiers.
    """
    merge = _sum_merge if sum_merge else functools.partial(_concat_merge, convs=convs, kernel_size=kernel_size)
    with tf.variable_scope('decoder'):
        for stage, stride in enumerate(strides):
            suffix = f'_{stage}' if stage else ''
            scope = f'feature_projection0{suffix}'
            if is_logits:
                low_level = classifier(taps[stride], filters, scope=scope, initializer=xavier())
            else:
                low_level = conv2d(taps[stride], filters if sum_merge else low_level_filters, 1, scope=scope,
                                   initializer=xavier(), activation=activation)
            size = scaled_size(image_size, 1 / stride)
            features, low_level = (resize_bilinear(net, size) for net in (features, low_level))
            features = merge(features, low_level, filters, suffix, separable=separable, is_logits=is_logits,
                             activation=activation)
    return features


def _sum_merge(features: tf.Tensor, low_level: tf.Tensor, filters: int, suffix: str, *, separable: bool,
               is_logits: bool, activation: Layer | None) -> tf.Tensor:
    if is_logits:
        features = classifier(features, filters, scope=f'decoder_conv0{suffix}', initializer=xavier())
    elif separable:
        features = head_separable_conv2d(
            features, filters, scope=f'decoder_split_sep_conv0{suffix}', activation=activation)
    else:
        features = conv2d(features, filters, 3, scope=f'decoder_conv0{suffix}', initializer=xavier(),
                          activation=activation)
    return features + low_level


def _concat_merge(features: tf.Tensor, low_level: tf.Tensor, filters: int, suffix: str, *, separable: bool,
                  is_logits: bool, activation: Layer | None, convs: int, kernel_size: int) -> tf.Tensor:
    if is_logits:
        raise ValueError('decoder_output_is_logits needs decoder_use_sum_merge')
    net = tf.concat([features, low_level], 3)
    if separable:
        for i in range(convs):
            net = head_separable_conv2d(net, filters, scope=f'decoder_conv{i}{suffix}', kernel_size=kernel_size,
                                        activation=activation)
        return net
    with tf.variable_scope(f'decoder_conv0{suffix}'):
        for i in range(1, convs + 1):
            net = conv2d(net, filters, kernel_size, scope=f'decoder_conv0{suffix}_{i}', initializer=xavier(),
                         activation=activation)
    return net

"""ENet (Paszke et al., 2016, arXiv:1606.02147), table 1."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from deeplab.backbones.backbone import Backbone
from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier, small_normal
from deeplab.layers.conv import Layer, PRelu, batch_norm, biases, conv2d, conv2d_transpose, dropout, in_this_scope
from deeplab.layers.pool import max_pool_with_indices, unpool
from deeplab.layers.resize import spatial_size
from deeplab.nets.net import Outputs

PROJECTION = 4  # a bottleneck's inner convolution has a quarter of its channels


class Bottleneck(NamedTuple):
    """A row of table 1: a regular, dilated or asymmetric bottleneck."""

    rate: int = 1
    asymmetric: int = 0  # length of the two one-dimensional kernels; 0: one 3x3


STAGE_1 = (Bottleneck(),) * 4
STAGE_2 = (Bottleneck(), Bottleneck(rate=2), Bottleneck(asymmetric=5), Bottleneck(rate=4),
           Bottleneck(), Bottleneck(rate=8), Bottleneck(asymmetric=5), Bottleneck(rate=16))
STAGE_3 = STAGE_2
STAGE_4 = (Bottleneck(),) * 2
STAGE_5 = (Bottleneck(),)


def enet(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
         encoder_only: bool = False, dropout_rates: Sequence[float] = (0.01, 0.1)) -> Outputs:
    """Logits at full resolution of images `[N, H, W, 3]` in 0..255.

    Options:
      encoder_only: logits at stride 8, for the first of the two training stages of section 5
      dropout_rates: of the spatial dropout before bottleneck 2.0, and from it on
    """
    early_rate, late_rate = dropout_rates
    early: dict[str, Any] = {'training': training, 'dropout_rate': early_rate}
    late: dict[str, Any] = {'training': training, 'dropout_rate': late_rate}
    net = backbone.build(images, output_stride).output
    with slim.arg_scope([batch_norm], decay=0.9, epsilon=1e-3), \
            slim.arg_scope([conv2d], initializer=slim.variance_scaling_initializer(factor=2.0)):
        with tf.variable_scope('encoder'):
            initial = _initial(net)
            net, first = _downsample(initial, 64, scope='bottleneck1_0', **early)
            stage_1 = net = _stage(net, STAGE_1, 1, activation=PRelu, **early)
            net, second = _downsample(net, 128, scope='bottleneck2_0', **late)
            net = _stage(net, STAGE_2, 2, activation=PRelu, **late)
            net = _stage(net, STAGE_3, 3, activation=PRelu, **late)
        if encoder_only:
            return Outputs(classifier(net, num_classes, scope='encoder_logits'), {})
        # The released decoder has ReLU where the encoder has PReLU.
        with tf.variable_scope('decoder'):
            net = _upsample(net, 64, second, stage_1, scope='bottleneck4_0', **late)
            net = _stage(net, STAGE_4, 4, activation=_relu, **late)
            net = _upsample(net, 16, first, initial, scope='bottleneck5_0', **late)
            net = _stage(net, STAGE_5, 5, activation=_relu, **late)
        logits = conv2d_transpose(net, num_classes, 2, scope='logits', initializer=small_normal(), normalizer=biases,
                                  activation=None, size=spatial_size(images))
    return Outputs(logits, {})


def _relu(_: str) -> Layer:
    return tf.nn.relu


def _initial(images: tf.Tensor) -> tf.Tensor:
    """Figure 2a: a strided convolution beside a max pooling, 16 channels."""
    with tf.variable_scope('initial'):
        convolved = conv2d(images, 13, 3, scope='conv', stride=2, normalizer=None, activation=None)
        pooled = tf.nn.max_pool2d(images, 2, 2, 'SAME')
        return batch_norm(tf.concat([convolved, pooled], 3), activation=PRelu())


def _stage(net: tf.Tensor, rows: Sequence[Bottleneck], number: int, **options: Any) -> tf.Tensor:
    for i, row in enumerate(rows, 1):
        net = _bottleneck(net, row, scope=f'bottleneck{number}_{i}', **options)
    return net


def _bottleneck(inputs: tf.Tensor, row: Bottleneck, *, scope: str, activation: Callable[[str], Layer], training: bool,
                dropout_rate: float) -> tf.Tensor:
    """Figure 2b: projection, convolution, expansion, spatial dropout, added to the input.

    `activation` makes an activation of a name.
    """
    channels = inputs.shape.as_list()[-1]
    inner = channels // PROJECTION
    with tf.variable_scope(scope):
        net = conv2d(inputs, inner, 1, scope='projection', activation=activation('prelu1'))
        if row.asymmetric:
            net = conv2d(net, inner, [row.asymmetric, 1], scope='vertical', normalizer=None, activation=None)
            net = conv2d(net, inner, [1, row.asymmetric], scope='horizontal', activation=activation('prelu2'))
        else:
            net = conv2d(net, inner, 3, scope='conv', rate=row.rate, activation=activation('prelu2'))
        return _expanded(net, inputs, training, dropout_rate, activation('prelu3'))


def _downsample(inputs: tf.Tensor, channels: int, *, scope: str, training: bool, dropout_rate: float
                ) -> tuple[tf.Tensor, tf.Tensor]:
    """A bottleneck that halves the sides: its projection is 2x2 with stride 2, its other branch max pooling.

    Returns the features and the indices of the maxima.
    """
    inner = channels // PROJECTION
    with tf.variable_scope(scope):
        pooled, indices = max_pool_with_indices(inputs)
        pooled = tf.pad(pooled, [[0, 0], [0, 0], [0, 0], [0, channels - inputs.shape.as_list()[-1]]])
        net = conv2d(inputs, inner, 2, scope='projection', stride=2, activation=PRelu('prelu1'))
        net = conv2d(net, inner, 3, scope='conv', activation=PRelu('prelu2'))
        return _expanded(net, pooled, training, dropout_rate, PRelu('prelu3')), indices


def _upsample(inputs: tf.Tensor, channels: int, indices: tf.Tensor, pooled_from: tf.Tensor, *, scope: str,
              training: bool, dropout_rate: float) -> tf.Tensor:
    """A bottleneck that doubles the sides, to those of `pooled_from`: a 1x1 convolution and unpooling beside a
    transposed one."""
    inner = channels // PROJECTION
    with tf.variable_scope(scope):
        main = conv2d(inputs, channels, 1, scope='main', activation=None)
        main = unpool(main, indices, pooled_from)
        net = conv2d(inputs, inner, 1, scope='projection')
        net = conv2d_transpose(net, inner, 3, scope='conv', size=spatial_size(pooled_from),
                               initializer=slim.variance_scaling_initializer(factor=2.0))
        return _expanded(net, main, training, dropout_rate, tf.nn.relu)


def _expanded(net: tf.Tensor, main: tf.Tensor, training: bool, dropout_rate: float, activation: Layer) -> tf.Tensor:
    """The end of a bottleneck: to the channels of its `main` branch, with spatial dropout, and added to it."""
    dropped = in_this_scope(functools.partial(dropout, rate=dropout_rate, training=training, scope='dropout',
                                              spatial=True))
    return conv2d(net, main.shape.as_list()[-1], 1, scope='expansion', activation=activation, added=main,
                  scaled=dropped)

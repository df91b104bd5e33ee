"""VGG16 (Simonyan and Zisserman, 2015, arXiv:1409.1556, configuration D) up to pool5, in slim's names.

Nets that go on as the paper does build its fc6 and fc7 as convolutions: nets/fully_connected.py.
"""

from console.choices import choose
from deeplab.backbones.backbone import Backbone, BatchNorm, Features, Pixels
from deeplab.compat import slim, tf
from deeplab.layers.average import average_pool2d
from deeplab.layers.context import xavier
from deeplab.layers.conv import biases, conv2d
from deeplab.strides import plan

SCOPE = 'vgg_16'
STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))  # convolutions, channels; each ends in max pooling
TAPS = {1: 2, 2: 4, 3: 8, 4: 16}  # stage -> nominal stride of its pool
SLIM_PIXELS = Pixels(mean=(123.68, 116.78, 103.94), scale=1.0)
POOL_SIZES = (2, 3)


def vgg_16(images: tf.Tensor, output_stride: int, *, depth_multiplier: float = 1.0, pool_size: int = 2) -> Features:
    """Features of normalised images `[N, H, W, 3]`; the taps are pool1 to pool4.

    Options:
      depth_multiplier: factor of every layer's channels
      pool_size: 2, or 3 as the released DeepLab-v1 and -v2: overlapping windows, which stay dense where their stride is
        gone, and 3x3 average pooling behind pool5; ImageNet weights fit both

    Raises:
      ValueError: another pool_size.
    """
    choose('pool_size', pool_size, POOL_SIZES)
    layers = iter(plan([stride for count, _ in STAGES for stride in [1] * count + [2]], output_stride))
    net, taps = images, {}
    # With slim's initial values the features of untrained weights are of order 0.1, though pixels are of order 100.
    with tf.variable_scope(SCOPE), slim.arg_scope([conv2d], normalizer=biases, initializer=xavier()):
        for stage, (count, channels) in enumerate(STAGES, 1):
            for i in range(1, count + 1):
                _, rate = next(layers)
                net = conv2d(net, max(1, int(channels * depth_multiplier)), 3, scope=f'conv{stage}/conv{stage}_{i}',
                             rate=rate)
            net = _max_pool(net, pool_size, *next(layers))
            if stage in TAPS:
                taps[TAPS[stage]] = net
        if pool_size == 3:
            net = average_pool2d(net, 3, 1, 'SAME')
    return Features(net, taps)


def _max_pool(net: tf.Tensor, size: int, stride: int, rate: int) -> tf.Tensor:
    """Of values that aren't negative, so that padding with 0 changes no maximum. Any side n becomes ceil(n / stride).

    The two rows that a 2x2 window sees lie `rate` apart, so that dense features contain those of the nominal stride.
    """
    if size == 3:
        # Symmetric on even sides too, where SAME isn't: windows are centred on every other pixel.
        return tf.nn.max_pool2d(tf.pad(net, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, stride, 'VALID')
    if stride > 1:
        return tf.nn.max_pool2d(net, 2, stride, 'SAME')
    padded = tf.pad(net, [[0, 0], [0, rate], [0, rate], [0, 0]])
    rows = tf.maximum(padded[:, :-rate], padded[:, rate:])
    return tf.maximum(rows[:, :, :-rate], rows[:, :, rate:])


BACKBONES = (
    Backbone(name='vgg_16', walk=vgg_16, scope=SCOPE, pixels=SLIM_PIXELS, pad_value=SLIM_PIXELS.mean,
             # It has no batch norm; these would be those of a net's own layers in its scope.
             batch_norm=BatchNorm(decay=0.997, epsilon=1e-5), output_strides=(8, 16, 32), taps=tuple(TAPS.values()),
             fully_connected=True),
)

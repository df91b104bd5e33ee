"""Context at several scales: image pooling and atrous spatial pyramid pooling (DeepLabv3, section 3.3)."""

from collections.abc import Sequence

from deeplab.compat import tf
from deeplab.layers.average import average_pool, image_mean
from deeplab.layers.conv import Initializer, Layer, Sides, biases, conv2d, separable_conv2d
from deeplab.layers.resize import Size, resize_bilinear, spatial_size

# The initialisers of the released heads: dense convolutions Xavier, halves of separable ones by their spread.
DEPTHWISE_STDDEV = 0.33
POINTWISE_STDDEV = 0.06


def xavier() -> Initializer:
    """Uniform with variance 2 / (fan_in + fan_out)."""
    return tf.glorot_uniform_initializer()


def head_separable_conv2d(inputs: tf.Tensor, filters: int, *, scope: str, kernel_size: Sides = 3, rate: Sides = 1,
                          activation: Layer | None = tf.nn.relu) -> tf.Tensor:
    """Separable convolution with an activation after both halves, as ASPP and decoder use it."""
    return separable_conv2d(
        inputs, filters, scope=scope, kernel_size=kernel_size, rate=rate,
        depthwise_activation=activation, activation=activation,
        depthwise_initializer=tf.truncated_normal_initializer(stddev=DEPTHWISE_STDDEV),
        pointwise_initializer=tf.truncated_normal_initializer(stddev=POINTWISE_STDDEV))


def quantized_sigmoid(inputs: tf.Tensor) -> tf.Tensor:
    """Piecewise linear sigmoid, `relu6(x + 3) * 0.16667`: the constant is the released code's, not 1/6."""
    return tf.nn.relu6(inputs + 3.0) * 0.16667


def image_pooling(features: tf.Tensor, filters: int, *, window: Size | None, stride: Sequence[int],
                  gate: Layer | None = None) -> tf.Tensor:
    """Average over `window` (the whole image when None) -> 1x1 convolution -> size of `features`.

    An image smaller than the window, which was made for the crops of a training, is pooled as a whole.
    With `gate` the result is that activation of a convolution with biases, meant to multiply the features; without it a
    normal branch (plain ReLU, whatever activation the rest of the head has).
    """
    if window is None:
        pooled = image_mean(features)
    else:
        pooled = average_pool(features, window, stride)
    pooled = conv2d(
        pooled, filters, 1, scope='image_pooling', initializer=xavier(),
        **({'normalizer': biases, 'activation': gate} if gate else {'activation': tf.nn.relu}))
    return resize_bilinear(pooled, spatial_size(features))


def atrous_pyramid(features: tf.Tensor, filters: int, rates: Sequence[int], *, separable: bool, activation: Layer | None
                   ) -> list[tf.Tensor]:
    """List of branches: `aspp0` (1x1), then `aspp1`.. (3x3, one for each rate)."""
    branches = [conv2d(features, filters, 1, scope='aspp0', initializer=xavier(), activation=activation)]
    for i, rate in enumerate(rates, 1):
        if separable:
            branch = head_separable_conv2d(features, filters, scope=f'aspp{i}', rate=rate, activation=activation)
        else:
            branch = conv2d(
                features, filters, 3, scope=f'aspp{i}', rate=rate, initializer=xavier(), activation=activation)
        branches.append(branch)
    return branches

"""The classifier of every feature: the last layer of a net."""

from deeplab.compat import tf
from deeplab.layers.conv import Initializer, biases, conv2d


def classifier(features: tf.Tensor, num_classes: int, *, scope: str = 'logits', kernel_size: int = 1, rate: int = 1,
               initializer: Initializer | None = None) -> tf.Tensor:
    """Logits float32 `[N, h, w, num_classes]` of `[N, h, w, C]`: a convolution with biases, without an activation.

    Its kernel starts near 0, by default as `small_normal` has it, so that the loss starts at ln(num_classes).
    """
    return conv2d(features, num_classes, kernel_size, scope=scope, rate=rate, initializer=initializer or small_normal(),
                  normalizer=lambda logits: biases(tf.cast(logits, tf.float32)), activation=None)


def small_normal(stddev: float = 0.01) -> Initializer:
    """A normal distribution cut off at twice its deviation."""
    return tf.truncated_normal_initializer(stddev=stddev)

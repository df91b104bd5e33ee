"""The type of features between layers: float32, or what the kernels of our own keep them in."""

from collections.abc import Callable

from deeplab.compat import slim, tf


@slim.add_arg_scope
def as_features(tensor: tf.Tensor, *, dtype: tf.DType | None = None) -> tf.Tensor:
    """The tensor in the features' type, which `model_scope` sets; as it is where that doesn't."""
    return tensor if dtype is None else tf.cast(tensor, dtype)


def in_float32(function: Callable[[tf.Tensor], tf.Tensor], features: tf.Tensor) -> tf.Tensor:
    """function(features) in float32, in the features' type: for what adds up many values, or draws numbers."""
    return tf.cast(function(tf.cast(features, tf.float32)), features.dtype)

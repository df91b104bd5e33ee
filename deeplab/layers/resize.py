"""The only caller of resize ops: TF1's align_corners=True everywhere, which the released weights were trained with."""

from collections.abc import Callable
from typing import TypeAlias

from deeplab.compat import tf
from deeplab.layers.precision import in_float32

Side: TypeAlias = int | tf.Tensor  # where it isn't static, a scalar int32
Size: TypeAlias = tuple[Side, Side]  # height, width


def spatial_size(tensor: tf.Tensor) -> Size:
    """(height, width) of `[N, H, W, C]`; Python ints where they are static, else scalar int32 tensors."""
    static = tensor.shape.as_list()[1:3]
    dynamic = tf.shape(tensor)
    height, width = (dynamic[axis] if size is None else size for axis, size in enumerate(static, 1))
    return height, width


def scaled_dimension(size: Side, scale: float) -> Side:
    """`int((size - 1) * scale + 1)`: corners stay on corners, and 1 / stride gives a SAME convolution's size."""
    if isinstance(size, int):
        return int((size - 1) * scale + 1)
    # In Python's precision: float32 makes other sizes of some, such as 91 at scale 0.7.
    return tf.cast((tf.cast(size, tf.float64) - 1.0) * scale + 1.0, tf.int32)


def scaled_size(size: Size, scale: float) -> Size:
    """`scaled_dimension` of a (height, width) pair."""
    height, width = size
    return scaled_dimension(height, scale), scaled_dimension(width, scale)


def resize_bilinear(images: tf.Tensor, size: Size) -> tf.Tensor:
    """`[N, H, W, C]` -> float32 `[N, *size, C]`, bfloat16 where it was; nothing happens where the static size is right.
    """
    return _resize(tf.raw_ops.ResizeBilinear, images, size)


def resize_nearest(images: tf.Tensor, size: Size) -> tf.Tensor:
    """`[N, H, W, C]` -> `[N, *size, C]` of the same type."""
    return _resize(tf.raw_ops.ResizeNearestNeighbor, images, size)


def _resize(op: Callable[..., tf.Tensor], images: tf.Tensor, size: Size) -> tf.Tensor:
    if not any(map(tf.is_tensor, size)) and images.shape.as_list()[1:3] == list(size):
        return images
    if images.dtype == tf.bfloat16:  # features, which stay what they are
        return in_float32(lambda each: _resize(op, each, size), images)
    return op(images=images, size=tf.stack(size), align_corners=True, half_pixel_centers=False)

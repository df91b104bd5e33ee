"""Average pooling with windows and maps of any size, known when the graph is built or not."""

from collections.abc import Sequence
from typing import TypeAlias

from deeplab.compat import tf
from deeplab.layers.precision import in_float32
from deeplab.layers.resize import Side, Size, spatial_size

Cells: TypeAlias = tuple[tf.Tensor, tf.Tensor]  # int32 [cells]: where each begins, and where the next position is


def average_pool(features: tf.Tensor, window: Size, stride: Sequence[int]) -> tf.Tensor:
    """Averages of `[N, h, w, C]` over windows (height, width) that lie inside it, one every `stride`: `[N, a, b, C]`.

    A window that is larger than the features is as large as they are.
    """
    size = spatial_size(features)
    height, width = (_smaller(*sides) for sides in zip(window, size, strict=True))
    if not any(map(tf.is_tensor, (height, width, *size))):
        return average_pool2d(features, [1, height, width, 1], [1, *stride, 1], 'VALID')
    # TensorFlow's own pooling has its window as an attribute, which can't be as large as an image that comes later.
    return average_cells(features, _windows(size[0], height, stride[0]), _windows(size[1], width, stride[1]))


def average_pool2d(features: tf.Tensor, window: int | Sequence[int], stride: int | Sequence[int], padding: str
                   ) -> tf.Tensor:
    """`tf.nn.avg_pool2d`, in float32 whatever the features are."""
    return in_float32(lambda each: tf.nn.avg_pool2d(each, window, stride, padding), features)


def average_cells(features: tf.Tensor, rows: Cells, columns: Cells) -> tf.Tensor:
    """Averages of `[N, h, w, C]` over each of `rows` with each of `columns`: `[N, rows, columns, C]`."""
    height, width = spatial_size(features)
    values = tf.cast(features, tf.float32)
    sums = tf.einsum('ih,nhwc->niwc', _members(rows, height), values)
    sums = tf.einsum('jw,niwc->nijc', _members(columns, width), sums)
    heights, widths = (end - first for first, end in (rows, columns))
    return tf.cast(sums / tf.cast(heights[:, tf.newaxis] * widths, tf.float32)[..., tf.newaxis], features.dtype)


def image_mean(features: tf.Tensor) -> tf.Tensor:
    """Averages of `[N, h, w, C]` over the whole image: `[N, 1, 1, C]`."""
    return in_float32(lambda each: tf.reduce_mean(each, [1, 2], keepdims=True), features)


def _smaller(side: Side, other: Side) -> Side:
    return tf.minimum(side, other) if tf.is_tensor(side) or tf.is_tensor(other) else min(side, other)


def _windows(size: Side, window: Side, step: int) -> Cells:
    first = tf.range(0, size - window + 1, step)
    return first, first + window


def _members(cells: Cells, size: Side) -> tf.Tensor:
    """Which of `size` positions each cell covers: 0 or 1, [cells, size]."""
    (first, end), position = cells, tf.range(size)
    return tf.cast((position >= first[:, tf.newaxis]) & (position < end[:, tf.newaxis]), tf.float32)

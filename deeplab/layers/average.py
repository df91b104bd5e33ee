"""Average pooling with windows and maps of any size, known when the graph is built or not."""

from collections.abc import Sequence
from typing import TypeAlias

from deeplab.compat import tf
from deeplab.layers.resize import Side, Size, spatial_size

Cells: TypeAlias = tuple[tf.Tensor, tf.Tensor]  # int32 [cells]: where each begins, and where the next position is


def average_pool(features: tf.Tensor, window: Size, stride: Sequence[int]) -> tf.Tensor:
    """Averages of `[N, h, w, C]` over windows (height, width) that lie inside it, one every `stride`: `[N, a, b, C]`.

    A window that is larger than the features is as large as they are.
    """
    size = spatial_size(features)
    height, width = (_smaller(*sides) for sides in zip(window, size, strict=True))
    if not any(map(tf.is_tensor, (height, width, *size))):
        return tf.nn.avg_pool2d(features, [1, height, width, 1], [1, *stride, 1], 'VALID')
    # TensorFlow's own pooling has its window as an attribute, which can't be as large as an image that comes later.
    return average_cells(features, _windows(size[0], height, stride[0]), _windows(size[1], width, stride[1]))


def average_cells(features: tf.Tensor, rows: Cells, columns: Cells) -> tf.Tensor:
    """Averages of `[N, h, w, C]` over each of `rows` with each of `columns`: `[N, rows, columns, C]`."""
    height, width = spatial_size(features)
    sums = tf.einsum('ih,nhwc->niwc', _members(rows, height, features.dtype), features)
    sums = tf.einsum('jw,niwc->nijc', _members(columns, width, features.dtype), sums)
    heights, widths = (end - first for first, end in (rows, columns))
    return sums / tf.cast(heights[:, tf.newaxis] * widths, features.dtype)[..., tf.newaxis]


def _smaller(side: Side, other: Side) -> Side:
    return tf.minimum(side, other) if tf.is_tensor(side) or tf.is_tensor(other) else min(side, other)


def _windows(size: Side, window: Side, step: int) -> Cells:
    first = tf.range(0, size - window + 1, step)
    return first, first + window


def _members(cells: Cells, size: Side, dtype: tf.DType) -> tf.Tensor:
    """Which of `size` positions each cell covers: 0 or 1, [cells, size]."""
    (first, end), position = cells, tf.range(size)
    return tf.cast((position >= first[:, tf.newaxis]) & (position < end[:, tf.newaxis]), dtype)

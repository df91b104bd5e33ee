"""A sliding window: scores of overlapping tiles, averaged where they overlap, for images of any size.

Tiles begin every `tile * (1 - overlap)` pixels and the last one of a row or column is moved inside the image, as in
PSPNet's released code and dongzhuoyao/tensorpack (branch deeplab). Weights of a tile's pixels: 'uniform' there;
'gaussian' as in nnU-Net (Isensee et al., Nature Methods 2021), a Gaussian about the tile's centre whose sigma is an
eighth of its side, because the borders of a tile see the least context.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from deeplab.compat import tf

GAUSSIAN_SIGMA = 1 / 8  # of the side of a tile


def uniform(length: int) -> np.ndarray:
    return np.ones(length, np.float32)


def gaussian(length: int) -> np.ndarray:
    distance = np.arange(length) - (length - 1) / 2
    return np.exp(-distance ** 2 / (2 * (GAUSSIAN_SIGMA * length) ** 2)).astype(np.float32)


WEIGHTINGS = {'uniform': uniform, 'gaussian': gaussian}


Score = Callable[[tf.Tensor], tf.Tensor]  # tiles [N,h,w,3] -> scores [N,h,w,channels]


def blend(images: tf.Tensor, score: Score, channels: int, *, size: Sequence[int],
          overlap: float, weighting: str) -> tf.Tensor:
    """Scores [N,H,W,channels] of images [N,H,W,3] that are at least `size` (height, width).

    `score` maps tiles [N,*size,3] to scores [N,*size,channels]. One tile is in memory at a time, and the scores of one
    row of tiles beside those of the images.
    """
    def slide(images: tf.Tensor, score: Score, axis: int) -> tf.Tensor:
        side = size[axis - 1]
        return _slide(images, score, channels, axis, starts(tf.shape(images)[axis], side, overlap),
                      WEIGHTINGS[weighting](side))

    # A weight is the product of those along the sides, so a row of tiles can be blended before it meets the others.
    return slide(images, lambda row: slide(row, score, 2), 1)


def _slide(images: tf.Tensor, score: Score, channels: int, axis: int, begin: tf.Tensor, weights: np.ndarray
           ) -> tf.Tensor:
    """The weighted mean of the scores of windows that begin at `begin` along an axis, 1 or 2."""
    shape, length = tf.shape(images), tf.shape(images)[axis]
    along = np.eye(4, dtype=np.int32)[axis]
    static = [len(weights) if here else side for here, side in zip(along, images.shape, strict=True)]

    def add(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        before = begin[index] * along
        window = tf.slice(images, before, shape + (len(weights) - length) * along)
        window.set_shape(static)
        after = (length - len(weights)) * along - before
        scores = score(window) * weights.reshape(np.where(along, -1, 1))
        return index + 1, total + tf.pad(scores, tf.stack([before, after], axis=1))

    empty = tf.zeros(tf.concat([shape[:3], [channels]], 0))
    _, total = tf.while_loop(lambda index, _: index < tf.size(begin), add, [0, empty], parallel_iterations=1,
                             back_prop=False, shape_invariants=[tf.TensorShape([]),
                                                                tf.TensorShape([None, None, None, channels])])
    return total / tf.reshape(_coverage(begin, weights, length), np.where(along, -1, 1))


def starts(length: tf.Tensor, tile: int, overlap: float) -> tf.Tensor:
    """Where tiles of a side begin, int32 [T], for a side of `length` >= tile; neighbours share at least `overlap`."""
    step = max(1, math.ceil(tile * (1 - overlap)))
    count = -(-(length - tile) // step) + 1
    return tf.minimum(tf.range(count) * step, length - tile)


def _coverage(begin: tf.Tensor, weights: np.ndarray, length: tf.Tensor) -> tf.Tensor:
    """The sum [length] of the weights of all tiles of a side."""
    where = begin[:, tf.newaxis] + tf.range(len(weights))
    spread = tf.broadcast_to(tf.constant(weights), tf.shape(where))
    return tf.scatter_nd(where[..., tf.newaxis], spread, [length])

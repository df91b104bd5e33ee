"""A sliding window: scores of overlapping tiles, averaged where they overlap, for images of any size.

Tiles begin every `tile * (1 - overlap)` pixels and the last one of a row or column is moved inside the image, as in
PSPNet's released code and seed 003. Weights of a tile's pixels: 'uniform' there; 'gaussian' as in nnU-Net (Isensee et
al., Nature Methods 2021), a Gaussian about the tile's centre whose sigma is an eighth of its side, because the borders
of a tile see the least context.
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


WEIGHTINGS = {'uniform': uniform, 'gaussian': gaussian}  # keys: protocol.CHOICES['tile_weighting']


def blend(images: tf.Tensor, score: Callable[[tf.Tensor], tf.Tensor], channels: int, *, size: Sequence[int],
          overlap: float, weighting: str) -> tf.Tensor:
    """Scores [N,H,W,channels] of images [N,H,W,3] that are at least `size` (height, width).

    `score` maps tiles [N,*size,3] to scores [N,*size,channels]. One tile is in memory at a time.
    """
    length = tf.shape(images)[1:3]
    tops, lefts = (starts(length[axis], size[axis], overlap) for axis in (0, 1))
    vertical, horizontal = (WEIGHTINGS[weighting](side) for side in size)
    weights = tf.constant(vertical[:, np.newaxis, np.newaxis] * horizontal[np.newaxis, :, np.newaxis])

    def add(index, total):
        top, left = tops[index // tf.size(lefts)], lefts[index % tf.size(lefts)]
        tile = tf.slice(images, tf.stack([0, top, left, 0]), [-1, *size, -1])
        around = [[0, 0], [top, length[0] - top - size[0]], [left, length[1] - left - size[1]], [0, 0]]
        return index + 1, total + tf.pad(weights * score(tile), around)

    empty = tf.zeros([tf.shape(images)[0], length[0], length[1], channels])
    count = tf.size(tops) * tf.size(lefts)
    _, total = tf.while_loop(lambda index, _: index < count, add, [0, empty], parallel_iterations=1, back_prop=False,
                             shape_invariants=[tf.TensorShape([]), tf.TensorShape([None, None, None, channels])])
    total_weight = (_coverage(tops, vertical, length[0])[:, tf.newaxis, tf.newaxis] *
                    _coverage(lefts, horizontal, length[1])[tf.newaxis, :, tf.newaxis])
    return total / total_weight


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

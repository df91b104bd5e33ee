"""Gaussian filters of values at points: exact on the pixel grid, and by the permutohedral lattice for other features.

The lattice is that of Adams, Baek and Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice"
(Eurographics 2010): values are spread to the corners of the simplex that a point lies in, blurred along the d + 1
directions of the lattice, and gathered again. It approximates; `tests/deeplab/test_crf.py` says how far it is off.
"""

from collections.abc import Callable

import numpy as np

from deeplab.compat import tf

Filter = Callable[[tf.Tensor], tf.Tensor]  # values float32 [P,C] -> filtered [P,C]
LARGEST_CODE = 2.0 ** 62  # of a lattice point, in int64


def grid_gaussian(height: tf.Tensor, width: tf.Tensor, sigma: float) -> Filter:
    """The exact Gaussian of pixel distances on a grid, P = height * width in row order; its maximum is 1."""
    rows, columns = _kernel(height, sigma), _kernel(width, sigma)

    def apply(values: tf.Tensor) -> tf.Tensor:
        blurred = tf.matmul(rows, tf.reshape(values, [height, -1]))
        return tf.reshape(tf.matmul(columns, tf.reshape(blurred, [height, width, -1])), tf.shape(values))
    return apply


def _kernel(length: tf.Tensor, sigma: float) -> tf.Tensor:
    at = tf.range(tf.cast(length, tf.float32))
    return tf.exp(-tf.square(at[:, tf.newaxis] - at) / (2 * sigma ** 2))


def permutohedral(features: tf.Tensor) -> Filter:
    """The Gaussian of unit deviation of features float32 [P,d], up to a constant factor."""
    dimensions = features.shape.as_list()[1]
    points, weights = _corners(features, dimensions)
    codes, steps = _coded(points, dimensions)
    found, index = tf.unique(tf.reshape(codes, [-1]))
    neighbours = [_neighbours(found, step) for step in steps]
    count = tf.size(found)
    corners = tf.reshape(index, tf.shape(codes))

    def apply(values: tf.Tensor) -> tf.Tensor:
        spread = tf.reshape(weights[..., tf.newaxis] * values[:, tf.newaxis], [-1, tf.shape(values)[1]])
        lattice = tf.math.unsorted_segment_sum(spread, index, count + 1)  # the last is for neighbours that aren't there
        for ahead, behind in neighbours:
            lattice += 0.5 * (tf.gather(lattice, ahead) + tf.gather(lattice, behind))
        return tf.add_n([weights[:, i, tf.newaxis] * tf.gather(lattice, corners[:, i]) for i in range(dimensions + 1)])
    return apply


def _corners(features: tf.Tensor, dimensions: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The corners of each point's simplex, int64 [P,d+1,d+1] (corner, coordinate), and their weights [P,d+1]."""
    # Not a matmul: reduced precision would round where points are.
    elevated = tf.reduce_sum(features[:, tf.newaxis] * _elevation(dimensions), 2)
    sides = dimensions + 1
    nearest = tf.round(elevated / sides) * sides
    # The coordinates of a lattice point add up to 0: those that were rounded furthest go back.
    excess = tf.reduce_sum(nearest, 1, keepdims=True) / sides
    rank = _ranks(elevated - nearest) + excess
    wrapped = tf.cast(rank < 0, tf.float32) - tf.cast(rank > dimensions, tf.float32)
    rank, nearest = rank + wrapped * sides, nearest + wrapped * sides
    ordered = -tf.sort(-(elevated - nearest), axis=1) / sides  # by rank
    last_to_first = tf.reverse(ordered, [1])
    weights = last_to_first - tf.pad(last_to_first, [[0, 0], [1, 0]])[:, :-1]
    weights = tf.concat([last_to_first[:, :1] + 1 - ordered[:, :1], weights[:, 1:]], 1)
    number = tf.range(sides, dtype=tf.float32)[:, tf.newaxis]
    offsets = number - sides * tf.cast(rank[:, tf.newaxis] > dimensions - number, tf.float32)
    return tf.cast(tf.round(nearest[:, tf.newaxis] + offsets), tf.int64), weights


def _elevation(dimensions: int) -> np.ndarray:
    """The matrix [d+1,d] that puts points into the lattice's plane, scaled so that its blur has unit deviation."""
    matrix = np.zeros((dimensions + 1, dimensions))
    for axis in range(dimensions):
        matrix[:axis + 1, axis] = 1
        matrix[axis + 1, axis] = -(axis + 1)
        matrix[:, axis] /= np.sqrt((axis + 1) * (axis + 2))
    return (matrix * (dimensions + 1) * np.sqrt(2 / 3)).astype(np.float32)


def _ranks(values: tf.Tensor) -> tf.Tensor:
    """Float32 [P,n]: how many of a row are larger; of equal ones the first is the larger."""
    mine, other = values[:, :, tf.newaxis], values[:, tf.newaxis]
    earlier = tf.constant(np.tri(values.shape.as_list()[1], k=-1, dtype=bool))
    return tf.reduce_sum(tf.cast((other > mine) | (tf.equal(other, mine) & earlier), tf.float32), 2)


def _coded(points: tf.Tensor, dimensions: int) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """A number for each lattice point [P,d+1], and what a step along each direction adds to it.

    The last coordinate follows from the others.
    """
    kept = points[..., :dimensions]
    margin = dimensions + 1  # a step never leads out of the range
    lowest = tf.reduce_min(kept, [0, 1]) - margin
    extent = tf.reduce_max(kept, [0, 1]) + margin + 1 - lowest
    fits = tf.debugging.assert_less(tf.reduce_prod(tf.cast(extent, tf.float64)), tf.constant(LARGEST_CODE, tf.float64),
                                    message='the features are too many deviations apart for the lattice')
    with tf.control_dependencies([fits]):
        radix = tf.cumprod(extent, exclusive=True)
    steps = [tf.reduce_sum(radix * np.where(np.arange(dimensions) == axis, -dimensions, 1))
             for axis in range(dimensions + 1)]
    return tf.reduce_sum((kept - lowest) * radix, 2), steps


def _neighbours(codes: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """For each of the P lattice points, and one more that is nowhere, the index of the next and of the one before."""
    order = tf.argsort(codes)
    ordered = tf.gather(codes, order)
    count = tf.size(codes)
    place = tf.minimum(tf.searchsorted(ordered, ordered + step, out_type=tf.int32), count - 1)
    there = tf.equal(tf.gather(ordered, place), ordered + step)
    source, target = tf.boolean_mask(order, there), tf.boolean_mask(tf.gather(order, place), there)
    missing = tf.fill([count + 1], count)
    return (tf.tensor_scatter_nd_update(missing, source[:, tf.newaxis], target),
            tf.tensor_scatter_nd_update(missing, target[:, tf.newaxis], source))

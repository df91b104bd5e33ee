"""Pooling to bins against numpy and against pooling with a stride."""

import math

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.layers.pyramid_pooling import pool_to_bins, pyramid_levels

SIZES = ((1, 1), (2, 5), (6, 6), (7, 13), (12, 18), (33, 65))
BINS = (1, 2, 3, 6)


def by_cells(features, bins):
    height, width = features.shape[1:3]
    rows, columns = ([slice(i * side // bins, math.ceil((i + 1) * side / bins)) for i in range(bins)]
                     for side in (height, width))
    return np.stack([np.stack([features[:, row, column].mean((1, 2)) for column in columns], 1) for row in rows], 1)


@pytest.mark.parametrize('known', [True, False])
def test_cells_are_averaged_as_by_numpy(known):
    random = np.random.RandomState(0)
    with tf.Graph().as_default(), tf.Session() as session:
        unknown = tf.placeholder(tf.float32, [None, None, None, 4])
        dynamic = [pool_to_bins(unknown, bins) for bins in BINS]
        for size in SIZES:
            features = random.normal(size=(2, *size, 4)).astype(np.float32)
            pooled = [pool_to_bins(tf.constant(features), bins) for bins in BINS] if known else dynamic
            assert [p.shape.as_list()[1:] for p in pooled] == [[bins, bins, 4] for bins in BINS]
            for found, bins in zip(session.run(pooled, {unknown: features}), BINS, strict=True):
                np.testing.assert_allclose(found, by_cells(features, bins), rtol=0, atol=1e-6)


def test_a_multiple_of_the_bins_is_pooled_as_the_authors_did():
    """Windows and strides of 60, 30, 20 and 10 on the 60x60 map of a 473 crop."""
    with tf.Graph().as_default(), tf.Session() as session:
        features = tf.constant(np.random.RandomState(0).normal(size=(1, 60, 60, 2)), tf.float32)
        for bins in BINS:
            side = 60 // bins
            found, wanted = session.run([pool_to_bins(features, bins), tf.nn.avg_pool2d(features, side, side, 'VALID')])
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)


def test_a_pyramid_keeps_a_constant_and_the_size():
    with tf.Graph().as_default(), tf.Session() as session:
        levels = session.run(pyramid_levels(tf.fill([1, 9, 14, 3], 2.0), BINS))
    assert [level.shape for level in levels] == [(1, 9, 14, 3)] * 4
    np.testing.assert_allclose(levels, 2.0, rtol=1e-6)

"""Average pooling with windows and maps of any size, known or not, against numpy."""

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.layers.average import average_pool

WINDOWS = (((1, 1), (1, 1)), ((2, 3), (1, 1)), ((3, 2), (2, 3)), ((5, 2), (4, 1)), ((9, 2), (1, 2)), ((9, 30), (4, 5)))


def by_windows(features, window, stride):
    """Windows end where the map does; one that is larger is the whole side."""
    rows, columns = ([slice(i, i + min(part, side)) for i in range(0, side - min(part, side) + 1, step)]
                     for side, part, step in zip(features.shape[1:3], window, stride, strict=True))
    return np.stack([np.stack([features[:, row, column].mean((1, 2)) for column in columns], 1) for row in rows], 1)


@pytest.mark.parametrize('known', [(True, True), (True, False), (False, True), (False, False)],
                         ids=['both', 'window', 'size', 'neither'])
def test_windows_are_averaged_as_by_numpy(known):
    window_known, size_known = known
    features = np.random.RandomState(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder_with_default(features, features.shape if size_known else [None, None, None, 3])
        for window, stride in WINDOWS:
            given = window if window_known else tuple(tf.placeholder_with_default(side, []) for side in window)
            pooled = average_pool(images, given, stride)
            assert pooled.shape[-1] == 3
            gradient, = tf.gradients(tf.reduce_sum(pooled ** 2), images)
            found, slope = session.run([pooled, gradient])
            wanted = by_windows(features, window, stride)
            np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-6)
            step = np.random.RandomState(1).normal(size=features.shape) * 1e-4
            sides = [(by_windows(np.float64(features) + sign * step, window, stride) ** 2).sum() for sign in (1, -1)]
            np.testing.assert_allclose((slope * step).sum(), (sides[0] - sides[1]) / 2, rtol=1e-4)

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplab.compat import tf
from deeplab.layers.resize import (
    resize_bilinear,
    resize_nearest,
    scaled_dimension,
    scaled_size,
    spatial_size,
)

SIZES = [((5, 7), (9, 13)), ((9, 13), (5, 7)), ((4, 6), (7, 5)), ((1, 1), (3, 4)), ((3, 4), (1, 1)), ((5, 7), (5, 7))]


def interpolation(source, target):
    """[target, source] matrix of linear interpolation with aligned corners."""
    matrix = np.zeros((target, source))
    for i in range(target):
        position = i * (source - 1) / (target - 1) if target > 1 else 0.0
        low = min(int(position), source - 1)
        high = min(low + 1, source - 1)
        matrix[i, low] += 1 - (position - low)
        matrix[i, high] += position - low
    return matrix


@pytest.mark.parametrize(('source', 'target'), SIZES)
@pytest.mark.parametrize(('known_images', 'known_size'), [(True, True), (True, False), (False, True), (False, False)])
def test_bilinear_value_and_gradient_equal_aligned_interpolation(source, target, known_images, known_size):
    random = np.random.RandomState(0)
    x, upstream = random.normal(size=(2, *source, 3)), random.normal(size=(2, *target, 3))
    rows, columns = (interpolation(*pair) for pair in zip(source, target, strict=True))
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, x.shape if known_images else [None, None, None, 3])
        size = target if known_size else tf.unstack(tf.constant(target))
        y = resize_bilinear(images, size)
        found, gradient = session.run([y, tf.gradients(y, images, tf.constant(upstream, tf.float32))[0]], {images: x})
    np.testing.assert_allclose(found, np.einsum('ih,jw,nhwc->nijc', rows, columns, x), atol=1e-5)
    np.testing.assert_allclose(gradient, np.einsum('ih,jw,nijc->nhwc', rows, columns, upstream), atol=1e-5)


def test_nearest_keeps_corners_and_ids():
    ids = np.arange(6, dtype=np.int32).reshape(1, 2, 3, 1)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(resize_nearest(tf.constant(ids), (3, 5)))
    assert found.dtype == np.int32
    assert found[0, ::2, ::2, 0].tolist() == ids[0, ..., 0].tolist()


def test_a_size_that_is_right_costs_nothing():
    with tf.Graph().as_default():
        x = tf.zeros([1, 4, 5, 2])
        assert resize_bilinear(x, (4, 5)) is x


@given(st.integers(1, 3000), st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_scaling_by_a_stride_gives_the_feature_size(size, stride):
    assert scaled_dimension(size, 1 / stride) == math.ceil(size / stride)


def test_tensors_and_numbers_scale_alike():
    sizes = range(1, 2100)
    with tf.Graph().as_default(), tf.Session() as session:
        for scale in (1 / 16, 1 / 8, 1 / 4, *(each / 20 for each in range(6, 61, 3)), 0.7, 1.3):
            found = session.run(scaled_dimension(tf.constant(list(sizes)), scale))
            assert found.tolist() == [scaled_dimension(size, scale) for size in sizes]


def test_spatial_size_is_static_where_it_can_be():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.placeholder(tf.float32, [None, 5, None, 3])
        height, width = spatial_size(x)
        assert height == 5
        assert session.run(width, {x: np.zeros((1, 5, 9, 3))}) == 9
        small = scaled_size((height, width), 0.5)
        assert small[0] == 3 and session.run(small[1], {x: np.zeros((1, 5, 9, 3))}) == 5

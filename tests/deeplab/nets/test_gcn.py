"""GCN: the window that its separable kernels see, boundary refinement, and the bilinear start of its deconvolutions."""

import numpy as np
import pytest

from deeplab.compat import slim, tf
from deeplab.layers.conv import biases, conv2d, conv2d_transpose
from deeplab.nets.gcn import boundary_refine, global_convolution
from deeplab.nets.parts.upsampling import bilinear_initializer
from tests.deeplab.thin import NUM_CLASSES, THIN, build

SIDE = 41


def head_scope(initializer):
    return slim.arg_scope([conv2d], normalizer=biases, activation=None, initializer=initializer)


@pytest.mark.parametrize('kernel_size', [3, 15])
def test_a_separable_kernel_sees_its_whole_window_and_no_more(kernel_size):
    random = np.random.RandomState(0)
    with tf.Graph().as_default(), tf.Session() as session, head_scope(tf.random_normal_initializer(seed=1)):
        features = tf.constant(random.normal(size=(1, SIDE, SIDE, 3)), tf.float32)
        with tf.variable_scope('net', reuse=tf.AUTO_REUSE):
            scores, doubled = (global_convolution(scale * features, 2, kernel_size, scope='gcn') for scale in (1, 2))
        gradient, = tf.gradients(scores[0, SIDE // 2, SIDE // 2, 0], features)
        session.run(tf.global_variables_initializer())
        seen = np.any(session.run(gradient)[0], axis=-1)
        once, twice = session.run([scores, doubled])
        kernels = sorted(v.shape.as_list() for v in tf.trainable_variables() if v.op.name.endswith('weights'))
    window = np.zeros([SIDE, SIDE], bool)
    inside = slice(SIDE // 2 - kernel_size // 2, SIDE // 2 + kernel_size // 2 + 1)
    window[inside, inside] = True
    np.testing.assert_array_equal(seen, window)
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-4, atol=1e-4)  # nothing between the two is nonlinear
    k = kernel_size
    assert kernels == [[1, k, 2, 2], [1, k, 3, 2], [k, 1, 2, 2], [k, 1, 3, 2]]


def test_boundary_refinement_starts_as_the_identity_of_a_residual():
    scores = np.random.RandomState(0).normal(size=(1, 5, 6, 2)).astype(np.float32)
    found = []
    for initializer in (tf.zeros_initializer(), tf.ones_initializer()):
        with tf.Graph().as_default(), tf.Session() as session, head_scope(initializer):
            refined = boundary_refine(tf.constant(scores), scope='refine')
            session.run(tf.global_variables_initializer())
            found.append(session.run(refined))
    np.testing.assert_array_equal(found[0], scores)
    padded = np.pad(scores.sum(-1), [(0, 0), (2, 2), (2, 2)])
    box = [[padded[0, i:i + 3, j:j + 3].sum() for j in range(8)] for i in range(7)]
    hidden = np.pad(np.maximum(np.array(box)[1:6, 1:7], 0), 1) * 2  # two channels, both that sum
    residual = [[hidden[i:i + 3, j:j + 3].sum() for j in range(6)] for i in range(5)]
    np.testing.assert_allclose(found[1] - scores, np.array(residual)[None, ..., None] * [1, 1], rtol=1e-4, atol=1e-4)


def test_deconvolutions_start_as_bilinear_interpolation():
    ramp = np.arange(6, dtype=np.float32)[None, :, None, None] + np.zeros([1, 6, 5, 2], np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        enlarged = conv2d_transpose(tf.constant(ramp), 2, 4, scope='deconv', initializer=bilinear_initializer,
                                    size=(12, 10), normalizer=None, activation=None)
        session.run(tf.global_variables_initializer())
        found = session.run(enlarged)
    wanted = (np.arange(12) - 0.5) / 2  # cell centres; the outermost pixels lack a neighbour
    np.testing.assert_allclose(found[0, 1:-1, 1:-1, 0], np.repeat(wanted[1:-1, None], 8, 1), rtol=1e-6, atol=1e-6)


def test_every_level_has_the_large_kernel_and_two_refinements_but_the_coarsest():
    with tf.Graph().as_default():
        build('gcn', tf.zeros([1, 65, 65, 3]))
        head = {v.op.name: v.shape.as_list() for v in tf.trainable_variables() if v.op.name.startswith('level')}
    k = THIN['gcn'][2]['kernel_size']
    tall = [f'level{level}/gcn/{name}' for level in (2, 3, 4, 5) for name in ('tall_1', 'wide_2')]
    assert {name for name, shape in head.items() if shape[:2] == [k, 1]} == {f'{name}/weights' for name in tall}
    refined = sorted(name.rsplit('/', 2)[0] for name in head if name.endswith('conv2/weights'))
    assert refined == sorted([*(f'level{level}/refine' for level in range(6)),
                              *(f'level{level}/refine_sum' for level in (2, 3, 4))])
    assert {shape[-1] for shape in head.values()} == {NUM_CLASSES}


def test_refinement_is_an_option():
    with tf.Graph().as_default():
        build('gcn', tf.zeros([1, 33, 33, 3]), boundary_refinement=False)
        assert not [v for v in tf.trainable_variables() if 'refine' in v.op.name]

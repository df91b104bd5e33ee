"""Convolutions against a dense numpy reference, forward and both gradients."""

import itertools

import numpy as np
import pytest

from deeplab.compat import slim, tf
from deeplab.layers.conv import batch_norm, biases, conv2d, depthwise_conv2d, separable_conv2d
from deeplab.layers.scope import model_scope

CHANNELS, FILTERS = 3, 4
LAYERS = {'dense': conv2d, 'depthwise': depthwise_conv2d}
CASES = [
    # kernel, stride, rate, padding
    (1, 1, 1, 'SAME'), (1, 2, 1, 'SAME'), (1, 2, 1, 'FIXED'),
    (3, 1, 1, 'SAME'), (3, 1, 2, 'SAME'), (3, 1, 3, 'FIXED'), (3, 1, 6, 'SAME'), (3, 1, (2, 4), 'SAME'),
    (3, 2, 1, 'SAME'), (3, 2, 1, 'FIXED'), (7, 2, 1, 'FIXED'), (5, 1, 2, 'SAME'),
]


def taps(size, kernel, stride, rate, padding):
    """Input index of [output, kernel tap]; -1 is padding. Written from the definition of SAME and symmetric padding."""
    reach = (kernel - 1) * rate
    outputs = -(-size // stride)
    if padding == 'FIXED':
        before = reach // 2
    else:
        before = max((outputs - 1) * stride + reach + 1 - size, 0) // 2
    index = np.arange(outputs)[:, None] * stride + np.arange(kernel)[None] * rate - before
    return np.where((index >= 0) & (index < size), index, -1)


def reference(x, w, upstream, kernel, stride, rate, padding):
    """(y, dx, dw) of sum(y * upstream) in float64; w is [kernel, kernel, in, out]."""
    rates = (rate, rate) if isinstance(rate, int) else rate
    rows, columns = (taps(n, kernel, stride, r, padding) for n, r in zip(x.shape[1:3], rates, strict=True))
    padded = np.pad(x.astype(np.float64), ((0, 0), (0, 1), (0, 1), (0, 0)))  # index -1 reads the zeros
    y, dx, dw = 0, np.zeros_like(padded), np.zeros(w.shape)
    for i, j in itertools.product(range(kernel), repeat=2):
        where = np.ix_(range(len(x)), rows[:, i], columns[:, j])
        y = y + padded[where] @ w[i, j]
        if upstream is not None:
            dw[i, j] = np.einsum('nhwc,nhwd->cd', padded[where], upstream)
            np.add.at(dx, where, upstream @ w[i, j].T)
    return y, dx[:, :-1, :-1], dw


@pytest.mark.parametrize('kind', LAYERS)
@pytest.mark.parametrize(('kernel', 'stride', 'rate', 'padding'), CASES)
@pytest.mark.parametrize('size', [(9, 12), (8, 13)])
def test_value_and_gradients_equal_the_dense_reference(kind, kernel, stride, rate, padding, size):
    random = np.random.RandomState(0)
    x = random.normal(size=(2, *size, CHANNELS)).astype(np.float32)
    filters = () if kind == 'depthwise' else (FILTERS,)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, None, None, CHANNELS])
        y = LAYERS[kind](images, *filters, kernel, scope='layer', initializer=tf.random_normal_initializer(seed=1),
                         stride=stride, rate=rate, padding=padding, normalizer=None, activation=None)
        weights, = tf.trainable_variables()
        assert weights.op.name == ('layer/depthwise_weights' if kind == 'depthwise' else 'layer/weights')
        session.run(tf.global_variables_initializer())
        shape = session.run(tf.shape(y), {images: x})
        upstream = random.normal(size=shape)
        found = session.run([y, *tf.gradients(y, [images, weights], tf.constant(upstream, tf.float32)), weights],
                            {images: x})
    y, dx, dw, w = found
    if kind == 'depthwise':
        w = w * np.eye(CHANNELS)
        dw = dw * np.eye(CHANNELS)
    y_reference, dx_reference, dw_reference = reference(x, w, upstream, kernel, stride, rate, padding)
    if kind == 'depthwise':
        dw_reference = dw_reference * np.eye(CHANNELS)
    np.testing.assert_allclose(y, y_reference, rtol=0, atol=1e-5 * np.abs(y_reference).max())
    np.testing.assert_allclose(dx, dx_reference, rtol=0, atol=1e-5 * np.abs(dx_reference).max())
    np.testing.assert_allclose(dw, dw_reference, rtol=0, atol=1e-5 * np.abs(dw_reference).max())


def test_sizes_of_strided_layers_follow_the_ceiling_rule():
    for size, padding in itertools.product(range(1, 12), ('SAME', 'FIXED')):
        with tf.Graph().as_default():
            net = conv2d(tf.zeros([1, size, size, 1]), 1, 3, scope='layer', initializer=tf.ones_initializer(), stride=2,
                         padding=padding, normalizer=None)
            assert net.shape.as_list() == [1, -(-size // 2), -(-size // 2), 1], (size, padding)


def test_variables_have_slims_names():
    with tf.Graph().as_default(), model_scope(training=False):
        images = tf.zeros([1, 4, 4, 3])
        ones = tf.ones_initializer()
        with tf.variable_scope('net'):
            conv2d(images, 2, 3, scope='conv', initializer=ones, normalizer=None)
            conv2d(images, 2, 1, scope='logits', initializer=ones, normalizer=biases, activation=None)
        found = [(v.op.name, v.shape.as_list()) for v in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)]
    assert found == [('net/conv/weights', [3, 3, 3, 2]), ('net/logits/weights', [1, 1, 3, 2]),
                     ('net/logits/biases', [2])]


def test_activation_and_biases_are_applied():
    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant([[[[-2.0, 1.0]]]])
        plain = conv2d(x, 1, 1, scope='a', initializer=tf.ones_initializer(), normalizer=biases, activation=None)
        active = conv2d(x, 1, 1, scope='b', initializer=tf.ones_initializer(), normalizer=biases)
        session.run(tf.global_variables_initializer())
        variables = {v.op.name: v for v in tf.global_variables()}
        variables['a/biases'].load([0.25], session)
        variables['b/biases'].load([0.25], session)
        assert session.run([plain, active]) == [[[[[-0.75]]]], [[[[0.0]]]]]


def test_separable_halves_have_their_own_activations():
    with tf.Graph().as_default(), tf.Session() as session, model_scope(training=False), slim.arg_scope(
            [batch_norm], decay=0.9, epsilon=0.0):
        x = -tf.ones([1, 3, 3, 2])
        ones = tf.ones_initializer()
        nets = [separable_conv2d(x, 1, scope=f'net{i}', depthwise_initializer=ones, pointwise_initializer=ones,
                                 depthwise_activation=activation, activation=None)
                for i, activation in enumerate((None, tf.nn.relu))]
        names = [v.op.name for v in tf.trainable_variables() if v.op.name.startswith('net0')]
        session.run(tf.global_variables_initializer())
        linear, rectified = session.run(nets)
    assert names == [f'net0_{half}/{leaf}' for half in ('depthwise', 'pointwise') for leaf in (
        'depthwise_weights' if half == 'depthwise' else 'weights', 'BatchNorm/gamma', 'BatchNorm/beta')]
    assert linear[0, 1, 1, 0] == pytest.approx(-18) and (rectified == 0).all()


import numpy as np
import pytest

from deeplab.compat import slim, tf
from deeplab.layers.context import atrous_pyramid, image_pooling, quantized_sigmoid
from deeplab.layers.conv import batch_norm
from deeplab.layers.scope import model_scope

FEATURES = np.random.RandomState(0).normal(size=(2, 5, 7, 3)).astype(np.float32)


def evaluate(build):
    """What `build(features)` gives in a fresh graph with all weights and gammas at their initial values."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        with model_scope(training=False), slim.arg_scope([batch_norm], decay=0.9, epsilon=0.0):
            outputs = build(tf.constant(FEATURES))
        session.run(tf.global_variables_initializer())
        return session.run(outputs), session.run({v.op.name: v for v in tf.global_variables()})


def test_the_whole_image_is_pooled_to_one_value_per_channel():
    found, variables = evaluate(lambda x: image_pooling(x, 4, window=None, stride=(1, 1)))
    expected = np.maximum(FEATURES.mean((1, 2)) @ variables['image_pooling/weights'][0, 0], 0)
    np.testing.assert_allclose(found, np.broadcast_to(expected[:, None, None], (2, 5, 7, 4)), atol=1e-6)
    assert 'image_pooling/BatchNorm/gamma' in variables


def test_a_window_of_the_image_size_equals_the_whole_image():
    whole, _ = evaluate(lambda x: image_pooling(x, 4, window=None, stride=(1, 1)))
    window, _ = evaluate(lambda x: image_pooling(x, 4, window=(5, 7), stride=(4, 5)))
    np.testing.assert_allclose(window, whole, atol=1e-6)


def test_a_gate_has_biases_and_the_given_activation():
    found, variables = evaluate(lambda x: image_pooling(x, 4, window=None, stride=(1, 1), gate=tf.sigmoid))
    assert sorted(variables) == ['image_pooling/biases', 'image_pooling/weights']
    linear = FEATURES.mean((1, 2)) @ variables['image_pooling/weights'][0, 0]
    np.testing.assert_allclose(found[:, 0, 0], 1 / (1 + np.exp(-linear)), atol=1e-6)


def test_quantized_sigmoid_is_the_released_one():
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(quantized_sigmoid(tf.constant([-4.0, -3.0, 0.0, 3.0, 9.0])))
    assert found == pytest.approx([0, 0, 3 * 0.16667, 6 * 0.16667, 6 * 0.16667], rel=1e-6)


@pytest.mark.parametrize('separable', [True, False])
def test_the_pyramid_has_a_branch_for_each_rate(separable):
    found, variables = evaluate(
        lambda x: atrous_pyramid(x, 4, (2, 3), separable=separable, activation=tf.nn.relu))
    assert [branch.shape for branch in found] == [(2, 5, 7, 4)] * 3
    kernels = [name for name in variables if name.endswith('weights')]
    assert kernels == (['aspp0/weights', 'aspp1_depthwise/depthwise_weights', 'aspp1_pointwise/weights',
                        'aspp2_depthwise/depthwise_weights', 'aspp2_pointwise/weights'] if separable
                       else ['aspp0/weights', 'aspp1/weights', 'aspp2/weights'])

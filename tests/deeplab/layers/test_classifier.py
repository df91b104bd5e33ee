"""The layer that ends every net."""

import ast

import numpy as np
import pytest

from deeplab.compat import slim, tf
from deeplab.layers.classifier import classifier, small_normal
from deeplab.layers.conv import conv2d
from tests.paths import ROOT


def test_logits_are_a_convolution_and_a_bias_whatever_scope_is_open():
    values = np.random.RandomState(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session, slim.arg_scope(
            [conv2d], activation=tf.nn.relu, normalizer=None, initializer=tf.ones_initializer()):
        logits = classifier(tf.constant(values), 4, initializer=tf.constant_initializer(-1.0))
        biases, = [v for v in tf.trainable_variables() if v.op.name == 'logits/biases']
        session.run(tf.global_variables_initializer())
        session.run(biases.assign([0.0, 1.0, 2.0, 3.0]))
        found = session.run(logits)
    expected = -values.sum(3, keepdims=True) + np.arange(4)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize('stddev', [None, 0.001])
def test_its_kernel_starts_near_0(stddev):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(1)
        classifier(tf.zeros([1, 4, 4, 64]), 50, kernel_size=3, initializer=small_normal(stddev) if stddev else None)
        weights, biases = tf.trainable_variables()
        session.run(tf.global_variables_initializer())
        values, offsets = session.run([weights, biases])
    spread = stddev or 0.01
    assert values.shape == (3, 3, 64, 50) and not offsets.any()
    assert np.abs(values).max() <= 2 * spread and values.std() == pytest.approx(0.88 * spread, rel=0.01)


def test_no_net_writes_it_anew():
    """A convolution to num_classes, except the scores of GCN, which are refined, and a decoder of that width."""
    paths = list((ROOT / 'deeplab' / 'nets').rglob('*.py'))
    calls = [(path.name, node) for path in paths for node in ast.walk(ast.parse(path.read_text(encoding='utf8')))
             if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    named = {name for name, node in calls if node.func.id == 'classifier'}
    assert len(named) >= 10
    assert not [name for name, node in calls if node.func.id == 'conv2d'
                and any(isinstance(each, ast.Name) and each.id == 'num_classes' for each in node.args)]

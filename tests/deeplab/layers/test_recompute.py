"""Blocks computed again: the same gradients, updates, names and masks, in less memory."""

import numpy as np
import pytest
from tensorflow.python.client import timeline

from deeplab.backbones import BACKBONES
from deeplab.compat import estimator, slim, tensorflow, tf
from deeplab.layers.conv import batch_norm, conv2d, dropout, update_over_replicas
from deeplab.layers.recompute import BLOCKS, recomputed
from deeplab.layers.scope import model_scope
from tests.replicas import in_fresh_process, run_config

UNITS, LAYERS = 4, 3


def unit(net, index):
    with tf.variable_scope(f'unit_{index}'):
        inner = net
        for layer in range(LAYERS):
            inner = conv2d(inner, 8, 3, scope=f'conv{layer}')
        return net + dropout(inner, 0.3, training=True, scope='dropout')


def units(images):
    tf.train.get_or_create_global_step()
    with slim.arg_scope([batch_norm], decay=0.9, epsilon=1e-3), \
            slim.arg_scope([conv2d], initializer=slim.variance_scaling_initializer(seed=1)):
        net = conv2d(images, 8, 3, scope='root')
        for index in range(UNITS):
            net = recomputed(unit, net, index)
    return net


def resnet(name):
    def build(images):
        features = BACKBONES[name].build(images, 8, width_multiplier=0.125)
        return tf.concat([tf.reshape(t, [-1]) for t in (features.output, features.taps[4], features.taps[8])], 0)
    return build


def gradients_and_updates(net, recompute, size, seed=0):
    """{name: gradient}, {name: value after the updates}, bytes at the peak."""
    images = np.random.RandomState(seed).normal(size=(2, *size, 3)).astype(np.float32)
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.set_random_seed(3)
        with model_scope(training=True, recompute=recompute):
            outputs = net(tf.constant(images))
        assert bool(tf.get_collection(BLOCKS)) == recompute
        variables = tf.trainable_variables()
        gradients = tf.gradients(tf.reduce_mean(outputs ** 2), variables)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        random = np.random.RandomState(1)
        session.run(tf.global_variables_initializer())
        for variable in variables:
            if variable.shape.rank == 4:
                kernel = random.normal(0, np.prod(variable.shape[:3]) ** -0.5, variable.shape)
                variable.load(kernel.astype(np.float32), session)
        metadata = tf.RunMetadata()
        found = session.run(gradients, options=tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE),
                            run_metadata=metadata)
        session.run(updates)
        values = {v.op.name: session.run(v) for v in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)}
    analysis = timeline.Timeline(metadata.step_stats).analyze_step_stats(show_memory=True)
    peak = sum(maximum.num_bytes for maximum in analysis.allocator_maximums.values())
    return {v.op.name: g for v, g in zip(variables, found, strict=True)}, values, len(updates), peak


@pytest.mark.parametrize('net, size', [(units, (16, 20)), (resnet('resnet_v1_18_beta'), (33, 33)),
                                       pytest.param(resnet('resnet_v2_50'), (33, 33), marks=pytest.mark.slow)])
def test_gradients_updates_and_names_are_the_same(net, size):
    plain, again = (gradients_and_updates(net, recompute, size) for recompute in (False, True))
    assert plain[2] == again[2] > 10, 'updates are collected once'
    for kept, found in zip(plain[:2], again[:2], strict=True):
        assert list(kept) == list(found) and len(kept) > 30
        for name, value in kept.items():
            atol = 1e-6 * np.abs(value).max()
            np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=atol, err_msg=name)


def test_the_peak_of_memory_is_lower():
    plain, again = (gradients_and_updates(units, recompute, (128, 128))[3] for recompute in (False, True))
    # 4 units of 3 layers: 12 layers' insides, or 1 unit's and the units' borders.
    assert 0 < again < 0.6 * plain


def test_a_closure_over_a_loops_variable_is_noticed():
    with tf.Graph().as_default(), model_scope(training=True, recompute=True), \
            slim.arg_scope([batch_norm], decay=0.9, epsilon=1e-3), \
            slim.arg_scope([conv2d], initializer=tf.ones_initializer()):
        net = tf.ones([1, 4, 4, 8])
        for index in range(2):
            net = recomputed(lambda inputs: unit(inputs, index), net)  # noqa: B023
        with pytest.raises(ValueError, match='asks for other variables when it is computed again'):
            tf.gradients(net, tf.trainable_variables())


def train(recompute, model_dir):
    def model_fn(features, labels, mode):
        with model_scope(training=True, recompute=recompute):
            loss = tf.reduce_mean(units(features) ** 2)
        train_op = tf.train.MomentumOptimizer(0.1, 0.9).minimize(loss, tf.train.get_global_step())
        return estimator.EstimatorSpec(mode, loss=loss, train_op=tf.group(
            train_op, *update_over_replicas()))

    images = np.random.RandomState(0).normal(size=(8, 12, 12, 3)).astype(np.float32)
    net = estimator.Estimator(model_fn, config=run_config(2, model_dir=model_dir, tf_random_seed=1))
    net.train(lambda: tensorflow.data.Dataset.from_tensor_slices((images, np.zeros(8))).batch(2))
    return {name: net.get_variable_value(name) for name in net.get_variable_names()}


@pytest.mark.slow
def test_replicas_train_the_same_weights(tmp_path):
    plain, again = (in_fresh_process(train, recompute, str(tmp_path / str(recompute))) for recompute in (False, True))
    assert plain.keys() == again.keys() and plain['global_step'] == 2
    for name, value in plain.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-5, atol=1e-6, err_msg=name)

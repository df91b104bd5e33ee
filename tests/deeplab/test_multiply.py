"""Multipliers of updates and of gradients, which Adam and RMSProp divide by their own size."""

import numpy as np
import pytest

from deeplab import loss_scale, optimizer
from deeplab.compat import estimator, tensorflow, tf
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Optimizer
from tests.deeplab.test_optimizer import UPDATES
from tests.replicas import in_fresh_process, run_config

GRADIENTS = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 1.0]])
START, RATE = np.array([1.0, 2.0]), 0.1
FACTORS = {'body/weights': 1, 'logits/weights': 10, 'logits/biases': 20, 'frozen/weights': 0}
OPTIONS = {'momentum': 0.8, 'beta1': 0.5, 'beta2': 0.99, 'epsilon': 1e-3, 'last_layer_multiplier': 10.0,
           'bias_multiplier': 2.0, 'multipliers': {'^frozen/': 0}}


def train_op(options, gradient, scaled=False):
    """A step of variables with these names, all of one gradient."""
    rate = tf.constant(RATE, tf.float32)
    chosen = optimizer.make_optimizer(options, rate)
    chosen = loss_scale.LossScaled(chosen, rate) if scaled else chosen
    variables = [tf.get_variable(name, initializer=START.astype(np.float32)) for name in FACTORS]
    return optimizer.apply([gradient] * len(variables), chosen, tf.train.get_or_create_global_step(),
                           multipliers=optimizer.factors_of_gradients(list(FACTORS), options), variables=variables,
                           update_ops=[])


@pytest.mark.parametrize('scaled', [False, True])
@pytest.mark.parametrize('multiply', ['update', 'gradient'])
@pytest.mark.parametrize('name', UPDATES)
def test_updates_or_gradients_are_multiplied(name, multiply, scaled):
    with tf.Graph().as_default(), tf.Session() as session:
        gradient = tf.placeholder(tf.float32, [2])
        step = train_op(Optimizer(name=name, multiply=multiply, **OPTIONS), gradient, scaled)
        session.run(tf.global_variables_initializer())
        for value in GRADIENTS:
            session.run(step, {gradient: value})
        found = {v.op.name: session.run(v) for v in tf.trainable_variables()}
    plain = UPDATES[name](START, GRADIENTS, RATE)
    for variable, factor in FACTORS.items():
        by_update = START + factor * (plain - START)
        by_gradient = UPDATES[name](START, factor * GRADIENTS, RATE)
        if name in ('sgd', 'momentum'):
            np.testing.assert_allclose(by_update, by_gradient)
        elif factor > 1:  # they differ, or the test would show nothing
            assert np.abs(by_update - by_gradient).max() > 1
        expected = by_update if multiply == 'update' else by_gradient
        np.testing.assert_allclose(found[variable], expected, rtol=1e-5, atol=1e-6, err_msg=variable)


def test_patterns_are_refused_where_updates_are_multiplied_too():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="'head' matches none of 4 trainable variables"):
        train_op(Optimizer(name='adam', multipliers={'head': 2}), tf.ones([2]))


def test_slots_have_the_names_that_checkpoints_had():
    names = {}
    for name in ('adam', 'rmsprop'):
        for multiply in ('update', 'gradient'):
            with tf.Graph().as_default():
                train_op(Optimizer(name=name, multiply=multiply, **OPTIONS), tf.ones([2]))
                names[name, multiply] = [v.op.name for v in tf.global_variables()]
        assert names[name, 'update'] == names[name, 'gradient'] and len(names[name, 'update']) > 2 * len(FACTORS)


def train_on_replicas(model_dir):
    options = Optimizer(name='adam', multiply='update', **OPTIONS)

    def model_fn(features, labels, mode):
        return estimator.EstimatorSpec(mode, loss=tf.constant(0.0), train_op=train_op(options, features[0]))

    net = estimator.Estimator(model_fn, config=run_config(2, model_dir=model_dir))
    halves = np.repeat(GRADIENTS / 2, 2, axis=0).astype(np.float32)  # v1 optimizers sum over the replicas
    net.train(lambda: tensorflow.data.Dataset.from_tensor_slices(halves).batch(1))
    return {name: net.get_variable_value(name) for name in FACTORS}


@pytest.mark.slow
def test_replicas_multiply_updates_too(tmp_path):
    found = in_fresh_process(train_on_replicas, str(tmp_path))
    plain = UPDATES['adam'](START, GRADIENTS, RATE)
    for name, factor in FACTORS.items():
        np.testing.assert_allclose(found[name], START + factor * (plain - START), rtol=1e-5, err_msg=name)


def test_rows_whose_source_scaled_adams_gradients_say_so():
    """dongzhuoyao/tensorpack: ScaleGradient in front of AdamOptimizer; a row of another source has to be looked up."""
    rows = {name: row.optimizer for name, row in recipes.table().items() if optimizer.note(row.optimizer)}
    assert len(rows) > 5 and all(name.endswith('_dongzhuoyao') for name in rows)
    assert {options.multiply for options in rows.values()} == {'gradient'}
    assert all('multipliers do next to nothing' in optimizer.note(options) for options in rows.values())
    others = (Optimizer(name='adam'), Optimizer(name='adam', bias_multiplier=2.0), Optimizer(multiply='gradient'),
              Optimizer(bias_multiplier=2.0, multiply='gradient'), Optimizer(name='adam', multiply='gradient'))
    assert not any(map(optimizer.note, others))

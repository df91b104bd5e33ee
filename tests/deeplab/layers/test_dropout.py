import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.layers.conv import dropout

RATE = 0.25


def masks(seed=1, scope='drop', parent='', steps=(0,)):
    """Outputs for ones [2, 30, 30, 4] at global steps, in a fresh graph."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(seed)
        step = tf.train.get_or_create_global_step()
        with tf.variable_scope(parent or tf.get_variable_scope()):
            y = dropout(tf.ones([2, 30, 30, 4]), RATE, training=True, scope=scope)
        session.run(tf.global_variables_initializer())
        found = []
        for value in steps:
            step.load(value, session)
            found.append(session.run(y))
        return found


def test_kept_values_are_scaled_and_the_share_is_right():
    mask, = masks()
    np.testing.assert_allclose(np.unique(mask), [0.0, 1 / (1 - RATE)], rtol=1e-6)
    assert (mask == 0).mean() == pytest.approx(RATE, abs=0.02)
    assert not np.array_equal(mask[0], mask[1])


def test_a_mask_is_a_function_of_the_step():
    first, second, again = masks(steps=(5, 6, 5))
    assert np.array_equal(first, again) and not np.array_equal(first, second)
    resumed, = masks(steps=(6,))
    assert np.array_equal(resumed, second)


@pytest.mark.parametrize('change', [{'seed': 2}, {'scope': 'other'}, {'parent': 'head'}])
def test_seed_and_scope_change_the_mask(change):
    assert not np.array_equal(masks()[0], masks(**change)[0])


@pytest.mark.parametrize(('rate', 'training'), [(0.0, True), (0.5, False)])
def test_it_does_nothing_outside_training(rate, training):
    with tf.Graph().as_default():
        x = tf.ones([1, 1, 1, 1])
        assert dropout(x, rate, training=training, scope='drop') is x

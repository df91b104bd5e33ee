"""Our own cross-entropy against float64, for any number of classes and threads."""

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.kernels.cross_entropy import cross_entropy
from tests import kernels

pytestmark = kernels.needed


def drawn(pixels, classes, spread):
    random = np.random.RandomState(classes)
    logits = random.normal(0, spread, (pixels, classes)).astype(np.float32)
    return logits, random.randint(0, classes, pixels).astype(np.int32), random.uniform(-1, 1, pixels).astype(np.float32)


def expected(logits, classes, upstream):
    """(losses, their gradient times `upstream`) by the definition, in float64."""
    logits = logits.astype(np.float64)
    away = logits - logits.max(1, keepdims=True)
    total = np.exp(away).sum(1, keepdims=True)
    pixels = np.arange(len(logits))
    gradients = np.exp(away) / total
    gradients[pixels, classes] -= 1
    return np.log(total[:, 0]) - away[pixels, classes], gradients * upstream[:, None]


def computed(logits, classes, upstream, threads=2):
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, use_per_session_threads=True)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        places = [tf.placeholder(each.dtype, each.shape) for each in (logits, classes, upstream)]
        losses = cross_entropy(*places[:2])
        results = [losses, tf.gradients(losses, places[0], places[2])[0]]
        return session.run(results, dict(zip(places, (logits, classes, upstream), strict=True)))


@pytest.mark.parametrize('classes', [1, 2, 15, 16, 21, 150])
def test_it_equals_float64(classes):
    for spread in (0.01, 3.0, 40.0):  # with the last, most probabilities are 0 in float32
        case = drawn(5000, classes, spread)
        (losses, gradients), wanted = computed(*case), expected(*case)
        # A logit's distance from the largest one is rounded to float32.
        np.testing.assert_allclose(losses, wanted[0], rtol=3e-7, atol=2e-7 * max(1, spread))
        np.testing.assert_allclose(gradients, wanted[1], rtol=1e-6 * max(1, spread), atol=2e-7)


def test_gradients_equal_finite_differences():
    logits, classes, upstream = drawn(3, 5, 2.0)
    _, gradients = computed(logits, classes, upstream)
    for position in np.ndindex(logits.shape):
        step = np.zeros(logits.shape)
        step[position] = 1e-5
        ends = [(expected(logits + sign * step, classes, upstream)[0] * upstream).sum() for sign in (1, -1)]
        assert gradients[position] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-3, abs=1e-6)


def test_the_number_of_threads_changes_no_bit():
    case = drawn(50000, 21, 3.0)
    runs = [computed(*case, threads) for threads in (1, 2, 4)]
    for again in runs[1:]:
        for one, other in zip(runs[0], again, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('poison', [np.nan, np.inf])
def test_what_is_not_finite_comes_through(poison):
    """In its pixel alone, wherever among the classes it is."""
    for position in (0, 7, 20):
        logits, classes, upstream = drawn(40, 21, 2.0)
        logits[17, position] = poison
        losses, gradients = computed(logits, classes, upstream)
        assert np.isnan(losses[17]) and np.isnan(gradients[17]).any()
        assert np.isfinite(np.delete(losses, 17)).all() and np.isfinite(np.delete(gradients, 17, 0)).all()


def test_a_class_may_be_impossible():
    logits, classes, upstream = drawn(4, 21, 2.0)
    classes[:] = 3
    logits[1, 5] = logits[2, 3] = -np.inf
    losses, gradients = computed(logits, classes, upstream)
    assert np.isfinite(losses[[0, 1, 3]]).all() and losses[2] == np.inf and gradients[1, 5] == 0


def test_without_pixels_there_is_nothing():
    losses, gradients = computed(*drawn(0, 21, 1.0))
    assert losses.shape == (0,) and gradients.shape == (0, 21)


@pytest.mark.parametrize(('classes', 'message'), [
    ([0, 5], 'class 5 of 5'), ([-1, 0], 'class -1 of 5'), ([0], 'a vector is')])
def test_classes_must_fit(classes, message):
    with tf.Graph().as_default(), tf.Session() as session, \
            pytest.raises(tf.errors.InvalidArgumentError, match=message):
        session.run(cross_entropy(tf.zeros([2, 5]), tf.constant(classes, tf.int32)))

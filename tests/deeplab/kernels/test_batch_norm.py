"""Our own batch norm against float64, in every mode, for every activation, shape and number of threads."""

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.kernels.batch_norm import ACTIVATIONS, batch_norm
from tests import kernels

pytestmark = kernels.needed
EPSILON = 1e-3
# Channels that fill vectors, don't, or are fewer than one; several chunks; rows left over; one pixel.
SHAPES = [(2, 5, 7, 16), (1, 3, 3, 21), (3, 1, 1, 4), (1, 1, 1, 256), (2, 2, 2, 3), (2, 33, 33, 72), (1, 17, 19, 728),
          (40, 1)]
TYPES = {tf.float32: 2e-6, tf.bfloat16: 2.0 ** -8}  # with the relative error of writing a number down


def drawn(shape, dtype, seed=0, mean=0.5):
    """Values that `dtype` has, as float64, with zeros among what is normalised."""
    with tf.Graph().as_default(), tf.Session() as session:
        values = np.random.RandomState(seed).normal(mean, 2.0, shape)
        return session.run(tf.cast(tf.cast(tf.constant(values), dtype), tf.float64))


def parameters(channels):
    random = np.random.RandomState(7)
    return [random.uniform(*span, channels).astype(np.float32).astype(float)
            for span in ((0.5, 1.5), (-0.5, 0.5), (0.2, 0.8), (2.0, 6.0))]


def activated(z, activation):
    return {'none': z, 'relu': np.maximum(z, 0), 'relu6': np.clip(z, 0, 6)}[activation]


def slope(z, activation):
    return {'none': np.ones_like(z), 'relu': z > 0, 'relu6': (z > 0) & (z < 6)}[activation]


def expected(x, dy, added, activation, frozen):
    """(y, mean, Bessel's variance, dx, dgamma, dbeta, dadded) by the textbook, in the type of x."""
    gamma, beta, mean, variance = parameters(x.shape[-1])
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    bessel = variance
    if not frozen:
        mean, variance = x.mean(axes), x.var(axes)
        bessel = variance * count / max(count - 1, 1)
    inverse = 1 / np.sqrt(variance + EPSILON)
    hat = (x - mean) * inverse
    z = hat * gamma + beta + (0 if added is None else added)
    dz = dy * slope(z, activation)
    dgamma, dbeta = (dz * hat).sum(axes), dz.sum(axes)
    through = 0 if frozen else dbeta / count + hat * dgamma / count
    return activated(z, activation), mean, bessel, gamma * inverse * (dz - through), dgamma, dbeta, dz


def computed(x, dy, added, activation, frozen, dtype, threads=2):
    gamma, beta, mean, variance = (value.astype(np.float32) for value in parameters(x.shape[-1]))
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, use_per_session_threads=True)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        # Fed, so that nothing is computed beforehand.
        places = [tf.placeholder(tf.float32, each.shape) for each in (x, dy, x)]
        values = dict(zip(places, (x, dy, x if added is None else added), strict=True))
        x, dy, added_ = (tf.cast(each, dtype) for each in places)
        sources = [x, tf.constant(gamma), tf.constant(beta)] + ([] if added is None else [added_])
        found = batch_norm(*sources[:3], epsilon=EPSILON, activation=activation,
                           statistics=[tf.constant(mean), tf.constant(variance)] if frozen else (),
                           added=None if added is None else added_)
        gradients = tf.gradients(found.outputs, sources, dy)
        return session.run([tf.cast(each, tf.float32) for each in (*found, *gradients)], values)


def close(found, wanted, tolerance, name):
    """Errors are relative to the largest value: of sums, to what was summed up."""
    scale = max(np.abs(wanted).max(), 1e-3)
    assert np.abs(found - wanted).max() <= tolerance * scale, name


@pytest.mark.parametrize('dtype', TYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize('activation', sorted(set(ACTIVATIONS.values())))
def test_it_equals_float64(activation, dtype):
    for shape in SHAPES:
        x, dy, other = (drawn(shape, dtype, seed) for seed in range(3))
        for frozen, added in ((False, None), (True, None), (False, other)):
            # Where z is rounded to the other side of a bend, so is the derivative.
            z = expected(x, dy, added, 'none', frozen)[0]
            clear = (abs(z) > 1e-4) & (abs(z - 6) > (0.05 if dtype == tf.bfloat16 else 1e-4))
            wanted = expected(x, dy * clear, added, activation, frozen)
            found = computed(x, dy * clear, added, activation, frozen, dtype)
            assert len(found) == 6 + (added is not None)
            for name, mine, true in zip(('y', 'mean', 'variance', 'dx', 'dgamma', 'dbeta', 'dadded'), found, wanted,
                                        strict=False):
                features = name in ('y', 'dx', 'dadded')
                close(mine, true, TYPES[dtype] if features else 5e-6, (shape, frozen, added is not None, name))


def test_the_number_of_threads_changes_no_bit():
    for dtype in TYPES:
        x, dy, added = (drawn((2, 65, 67, 72), dtype, seed) for seed in range(3))
        runs = [computed(x, dy, added, 'relu', False, dtype, threads) for threads in (1, 2, 4)]
        for again in runs[1:]:
            for one, other in zip(runs[0], again, strict=True):
                np.testing.assert_array_equal(one, other)


def test_the_mean_may_be_far_from_zero():
    """The sum of squares less the square of the sum would lose all digits."""
    x = drawn((2, 33, 33, 24), tf.float32, mean=3000.0)
    wanted, found = expected(x, x, None, 'none', False), computed(x, x, None, 'none', False, tf.float32)
    assert wanted[1].min() > 1000 * np.sqrt(wanted[2].max())
    for mine, true in zip(found[:3], wanted[:3], strict=True):
        close(mine, true, 1e-4, 'of the spread')


@pytest.mark.parametrize('poison', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('activation', sorted(set(ACTIVATIONS.values())))
def test_what_is_not_finite_comes_through(activation, poison):
    """In its channel, as in TensorFlow's kernels; a vector's comparison would make a number of it."""
    for dtype in TYPES:
        x, dy = drawn((1, 5, 5, 20), dtype), drawn((1, 5, 5, 20), dtype, 1)
        x[0, 2, 3, 17] = poison
        y, mean, variance, dx, dgamma, _ = computed(x, dy, None, activation, False, dtype)
        for found in (y, dx):
            assert np.isnan(found[..., 17]).all() and np.isfinite(np.delete(found, 17, -1)).all()
        for found in (variance, dgamma):
            assert np.isnan(found[17]) and np.isfinite(np.delete(found, 17)).all()
        assert not np.isfinite(mean[17])
        x[0, 2, 3, 17] = 1.0
        dy[0, 1, 1, 17] = poison
        dx, dgamma, dbeta = computed(x, dy, None, activation, False, dtype)[3:]
        assert not np.isfinite(dx[..., 17]).any() and not np.isfinite(dgamma[17]) and not np.isfinite(dbeta[17])


def test_without_rows_there_is_nothing_to_write():
    empty = np.zeros((0, 3, 3, 20))
    y, mean, _, dx, dgamma, dbeta = computed(empty, empty, None, 'relu', False, tf.float32)
    assert y.shape == dx.shape == empty.shape and np.isnan(mean).all() and not dgamma.any() and not dbeta.any()


def test_gradients_equal_finite_differences():
    """Of every input, through the statistics and an activation, in the float64 that the textbook is evaluated in."""
    x, dy, added = (drawn((1, 2, 3, 2), tf.float32, seed) for seed in range(3))
    found = computed(x, dy, added, 'relu', False, tf.float32)

    def objective(x, added):
        return (expected(x, dy, added, 'relu', False)[0] * dy).sum()

    for gradient, of in ((found[3], 0), (found[6], 1)):
        for position in np.ndindex(x.shape):
            step = np.zeros(x.shape)
            step[position] = 1e-5
            ends = [objective(*(each + sign * step * (i == of) for i, each in enumerate((x, added))))
                    for sign in (1, -1)]
            assert gradient[position] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-4)


def test_parameters_of_another_size_are_refused():
    with tf.Graph().as_default(), tf.Session() as session:
        outputs = batch_norm(tf.ones([1, 2, 2, 3]), tf.ones([4]), tf.ones([3]), epsilon=EPSILON).outputs
        with pytest.raises(tf.errors.InvalidArgumentError, match='a parameter is'):
            session.run(outputs)

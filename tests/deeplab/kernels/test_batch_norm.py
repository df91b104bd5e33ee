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
ALL = sorted({*ACTIVATIONS.values(), 'prelu'})
TYPES = {tf.float32: 2e-6, tf.bfloat16: 2.0 ** -8}  # with the relative error of writing a number down


def drawn(shape, dtype, seed=0, mean=0.5):
    """Values that `dtype` has, as float64, with zeros among what is normalised."""
    with tf.Graph().as_default(), tf.Session() as session:
        values = np.random.RandomState(seed).normal(mean, 2.0, shape)
        return session.run(tf.cast(tf.cast(tf.constant(values), dtype), tf.float64))


def parameters(channels):
    """gamma, beta, mean, variance, and PReLU's alpha: of either sign, and such that a product with it isn't rounded."""
    random = np.random.RandomState(7)
    drawn = [random.uniform(*span, channels).astype(np.float32).astype(float)
             for span in ((0.5, 1.5), (-0.5, 0.5), (0.2, 0.8), (2.0, 6.0))]
    return [*drawn, random.choice([-0.5, 0.25, 0.5], channels)]


def activated(z, activation):
    alpha = parameters(z.shape[-1])[-1]
    return {'none': z, 'relu': np.maximum(z, 0), 'relu6': np.clip(z, 0, 6),
            'prelu': np.maximum(z, 0) + alpha * np.minimum(z, 0)}[activation]


def slope(z, activation):
    alpha = parameters(z.shape[-1])[-1]
    return {'none': np.ones_like(z), 'relu': z > 0, 'relu6': (z > 0) & (z < 6),
            'prelu': np.where(z > 0, 1, alpha)}[activation]


def expected(x, dy, added, activation, frozen, factors=None):
    """(y, mean, Bessel's variance, dx, dgamma, dbeta, dalpha, dadded) by the textbook, in the type of x."""
    gamma, beta, mean, variance, _ = parameters(x.shape[-1])
    factors = 1 if factors is None else factors
    axes, count = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    bessel = variance
    if not frozen:
        mean, variance = x.mean(axes), x.var(axes)
        bessel = variance * count / max(count - 1, 1)
    inverse = 1 / np.sqrt(variance + EPSILON)
    hat = (x - mean) * inverse
    z = (hat * gamma + beta) * factors + (0 if added is None else added)
    dz = dy * slope(z, activation)
    du = dz * factors
    dgamma, dbeta, dalpha = (du * hat).sum(axes), du.sum(axes), (dy * np.minimum(z, 0)).sum(axes)
    through = 0 if frozen else dbeta / count + hat * dgamma / count
    return activated(z, activation), mean, bessel, gamma * inverse * (du - through), dgamma, dbeta, dalpha, dz


NAMES = ('y', 'mean', 'variance', 'dx', 'dgamma', 'dbeta', 'dalpha', 'dadded')


def computed(x, dy, added, activation, frozen, dtype, threads=2, factors=None):
    """As `expected`, with dalpha for PReLU and dadded where something is added, by name."""
    gamma, beta, mean, variance, alpha = (value.astype(np.float32) for value in parameters(x.shape[-1]))
    config = tf.ConfigProto(intra_op_parallelism_threads=threads, use_per_session_threads=True)
    with tf.Graph().as_default(), tf.Session(config=config) as session:
        # Fed, so that nothing is computed beforehand.
        places = [tf.placeholder(tf.float32, each.shape) for each in (x, dy, x)]
        values = dict(zip(places, (x, dy, x if added is None else added), strict=True))
        x, dy, added_ = (tf.cast(each, dtype) for each in places)
        alpha_ = tf.constant(alpha) if activation == 'prelu' else None
        added_ = None if added is None else added_
        sources = [x, tf.constant(gamma), tf.constant(beta), alpha_, added_]
        found = batch_norm(*sources[:3], epsilon=EPSILON, activation=activation, alpha=alpha_, added=added_,
                           statistics=[tf.constant(mean), tf.constant(variance)] if frozen else (),
                           factors=None if factors is None else tf.constant(factors, tf.float32))
        wanted = [source for source in sources if source is not None]
        gradients = dict(zip(map(id, wanted), tf.gradients(found.outputs, wanted, dy), strict=True))
        tensors = [*found, *(gradients.get(id(source)) for source in sources)]
        return session.run({name: tf.cast(each, tf.float32) for name, each in zip(NAMES, tensors, strict=True)
                            if each is not None}, values)


def close(found, wanted, tolerance, name):
    """Errors are relative to the largest value: of sums, to what was summed up."""
    scale = max(np.abs(wanted).max(), 1e-3)
    assert np.abs(found - wanted).max() <= tolerance * scale, name


@pytest.mark.parametrize('dtype', TYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize('activation', ALL)
def test_it_equals_float64(activation, dtype):
    for shape in SHAPES:
        x, dy, other = (drawn(shape, dtype, seed) for seed in range(3))
        dropped = np.random.RandomState(3).choice([0.0, 2.0], [shape[0], *[1] * (len(shape) - 2), shape[-1]])
        for frozen, added, factors in ((False, None, None), (True, None, None), (False, other, None),
                                       (True, None, dropped), (False, other, dropped)):
            # Where z is rounded to the other side of a bend, so is the derivative.
            z = expected(x, dy, added, 'none', frozen, factors)[0]
            clear = (abs(z) > 1e-4) & (abs(z - 6) > (0.05 if dtype == tf.bfloat16 else 1e-4))
            wanted = dict(zip(NAMES, expected(x, dy * clear, added, activation, frozen, factors), strict=True))
            found = computed(x, dy * clear, added, activation, frozen, dtype, factors=factors)
            assert len(found) == 6 + (activation == 'prelu') + (added is not None)
            for name, mine in found.items():
                features = name in ('y', 'dx', 'dadded')
                close(mine, wanted[name], TYPES[dtype] if features else 5e-6,
                      (shape, frozen, added is not None, factors is not None, name))


def test_the_number_of_threads_changes_no_bit():
    for dtype in TYPES:
        x, dy, added = (drawn((2, 65, 67, 72), dtype, seed) for seed in range(3))
        for activation, factors in (('relu', None), ('prelu', np.full((2, 1, 1, 72), 1.5))):
            runs = [computed(x, dy, added, activation, False, dtype, threads, factors) for threads in (1, 2, 4)]
            for again in runs[1:]:
                for name in runs[0]:
                    np.testing.assert_array_equal(runs[0][name], again[name])


def test_the_mean_may_be_far_from_zero():
    """The sum of squares less the square of the sum would lose all digits."""
    x = drawn((2, 33, 33, 24), tf.float32, mean=3000.0)
    wanted, found = expected(x, x, None, 'none', False), computed(x, x, None, 'none', False, tf.float32)
    assert wanted[1].min() > 1000 * np.sqrt(wanted[2].max())
    for name, true in zip(NAMES[:3], wanted[:3], strict=True):
        close(found[name], true, 1e-4, 'of the spread')


@pytest.mark.parametrize('poison', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('activation', ALL)
def test_what_is_not_finite_comes_through(activation, poison):
    """In its channel, as in TensorFlow's kernels; a vector's comparison would make a number of it."""
    for dtype in TYPES:
        x, dy = drawn((1, 5, 5, 20), dtype), drawn((1, 5, 5, 20), dtype, 1)
        x[0, 2, 3, 17] = poison
        found = computed(x, dy, None, activation, False, dtype)
        for name in found.keys() & {'y', 'dx', 'variance', 'dgamma', 'dalpha'}:
            assert np.isnan(found[name][..., 17]).all() and np.isfinite(np.delete(found[name], 17, -1)).all()
        assert not np.isfinite(found['mean'][17])
        x[0, 2, 3, 17] = 1.0
        dy[0, 1, 1, 17] = poison
        found = computed(x, dy, None, activation, False, dtype)
        for name in ('dx', 'dgamma', 'dbeta'):
            assert not np.isfinite(found[name][..., 17]).any()


def test_without_rows_there_is_nothing_to_write():
    empty = np.zeros((0, 3, 3, 20))
    for activation, factors in (('relu', None), ('prelu', np.ones((0, 1, 1, 20)))):
        found = computed(empty, empty, None, activation, False, tf.float32, factors=factors)
        assert found['y'].shape == found['dx'].shape == empty.shape and np.isnan(found['mean']).all()
        assert not any(found[name].any() for name in found.keys() & {'dgamma', 'dbeta', 'dalpha'})


def test_gradients_equal_finite_differences():
    """Of every input, through the statistics and an activation, in the float64 that the textbook is evaluated in."""
    x, dy, added = (drawn((1, 2, 3, 2), tf.float32, seed) for seed in range(3))
    found = computed(x, dy, added, 'relu', False, tf.float32)

    def objective(x, added):
        return (expected(x, dy, added, 'relu', False)[0] * dy).sum()

    for gradient, of in ((found['dx'], 0), (found['dadded'], 1)):
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


@pytest.mark.parametrize(('given', 'message'), [
    ({'factors': np.ones((2, 1, 1, 3))}, 'factors are'),
    ({'alpha': np.ones(4), 'activation': 'prelu'}, 'a parameter is'),
    ({'activation': 'prelu'}, "alpha is prelu's"), ({'alpha': np.ones(3)}, "alpha is prelu's")])
def test_factors_and_alpha_must_fit(given, message):
    with tf.Graph().as_default(), tf.Session() as session:
        given = {name: value if isinstance(value, str) else tf.constant(value, tf.float32)
                 for name, value in given.items()}
        outputs = batch_norm(tf.ones([1, 2, 2, 3]), tf.ones([3]), tf.ones([3]), epsilon=EPSILON, **given).outputs
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            session.run(outputs)

"""Batch norm's three states, its updates and its gradients."""

import numpy as np
import pytest

from deeplab.compat import estimator, slim, tensorflow, tf
from deeplab.layers import conv
from deeplab.layers.conv import BATCH_NORM_MODES, PRelu, batch_norm, relu_of_identity, update_over_replicas
from deeplab.layers.precision import as_features
from deeplab.layers.scope import model_scope
from tests.kernels import FEATURES
from tests.replicas import in_fresh_process, run_config

EPSILON, DECAY = 1e-2, 0.9
CHANNELS = 3
KERNELS = FEATURES[:2]  # TensorFlow's and ours, in float32
START = {'gamma': np.array([0.5, 1.0, 2.0]), 'beta': np.array([0.0, 0.5, -0.5]),
         'moving_mean': np.array([0.1, 0.2, 0.3]), 'moving_variance': np.array([0.5, 1.0, 1.5])}
X = np.random.RandomState(0).normal(1.0, 2.0, (2, 3, 4, CHANNELS))


def build(x, **scope):
    with model_scope(**scope), slim.arg_scope([batch_norm], decay=DECAY, epsilon=EPSILON):
        return batch_norm(x)


def load(session):
    variables = {v.op.name.removeprefix('BatchNorm/'): v for v in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
    assert list(variables) == ['gamma', 'beta', 'moving_mean', 'moving_variance']
    for name, variable in variables.items():
        variable.load(START[name], session)
    return variables


def normalise(x, mean, variance):
    return (x - mean) / np.sqrt(variance + EPSILON) * START['gamma'] + START['beta']


@pytest.mark.parametrize('mode', BATCH_NORM_MODES)
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('features', KERNELS)
def test_statistics_updates_and_trainables_of_each_state(mode, training, features):
    with tf.Graph().as_default(), tf.Session() as session:
        y = build(tf.constant(X, tf.float32), training=training, batch_norm=mode, features=features)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        trainable = [v.op.name for v in tf.trainable_variables()]
        session.run(tf.global_variables_initializer())
        variables = load(session)
        found = session.run(y)
        session.run(updates)
        mean, variance = session.run([variables['moving_mean'], variables['moving_variance']])
    batch_mean, batch_variance = X.mean((0, 1, 2)), X.var((0, 1, 2))
    if training and mode == 'train':
        np.testing.assert_allclose(found, normalise(X, batch_mean, batch_variance), atol=1e-5)
        count = X[..., 0].size
        unbiased = batch_variance * count / (count - 1)
        np.testing.assert_allclose(mean, DECAY * START['moving_mean'] + (1 - DECAY) * batch_mean, atol=1e-6)
        np.testing.assert_allclose(
            variance, DECAY * START['moving_variance'] + (1 - DECAY) * unbiased, atol=1e-6)
    else:
        assert updates == []
        np.testing.assert_allclose(
            found, normalise(X, START['moving_mean'], START['moving_variance']), atol=1e-5)
    assert trainable == ([] if mode == 'freeze' else ['BatchNorm/gamma', 'BatchNorm/beta'])


def test_decay_of_the_scope_replaces_the_layers_own():
    with tf.Graph().as_default(), tf.Session() as session:
        build(tf.constant(X, tf.float32), training=True, decay=0.25)
        session.run(tf.global_variables_initializer())
        variables = load(session)
        session.run(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        found = session.run(variables['moving_mean'])
    np.testing.assert_allclose(found, 0.25 * START['moving_mean'] + 0.75 * X.mean((0, 1, 2)), atol=1e-6)


@pytest.mark.parametrize('mode', BATCH_NORM_MODES)
@pytest.mark.parametrize('features', KERNELS)
def test_gradients_equal_finite_differences(mode, features):
    upstream = np.random.RandomState(1).normal(size=X.shape)

    def objective(x, gamma, beta):
        mean, variance = ((x.mean((0, 1, 2)), x.var((0, 1, 2))) if mode == 'train'
                          else (START['moving_mean'], START['moving_variance']))
        return (((x - mean) / np.sqrt(variance + EPSILON) * gamma + beta) * upstream).sum()

    with tf.Graph().as_default(), tf.Session() as session:
        x = tf.constant(X, tf.float32)
        y = build(x, training=True, batch_norm=mode, features=features)
        session.run(tf.global_variables_initializer())
        variables = load(session)
        sources = [x, variables['gamma'], variables['beta']]
        found = session.run(tf.gradients(y, sources, tf.constant(upstream, tf.float32)))
    values = [X, START['gamma'], START['beta']]
    for i, (gradient, value) in enumerate(zip(found, values, strict=True)):
        for position in np.ndindex(value.shape):
            step = np.zeros(value.shape)
            step[position] = 1e-5
            ends = [objective(*values[:i], value + sign * step, *values[i + 1:]) for sign in (1, -1)]
            assert gradient[position] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4, abs=1e-4), (i, position)


def prelu(inputs):
    return tf.where(inputs > 0, inputs, 0.25 * inputs)


@pytest.mark.parametrize('features', FEATURES)
@pytest.mark.parametrize('summand', [False, True])
@pytest.mark.parametrize('activation', [None, tf.nn.relu, tf.nn.relu6, relu_of_identity, tf.nn.elu, prelu])
def test_what_is_added_and_an_activation_follow(features, activation, summand):
    """Behind factors; those that our kernel has, and one that it hasn't; features keep their type."""
    with tf.Graph().as_default(), tf.Session() as session:
        with model_scope(training=True, features=features), \
                slim.arg_scope([batch_norm], decay=DECAY, epsilon=EPSILON):
            inputs = as_features(tf.constant(X, tf.float32))
            added = as_features(tf.constant(X[::-1], tf.float32)) if summand else None
            factors = tf.constant(np.random.RandomState(2).choice([0.0, 2.0], (2, 1, 1, CHANNELS)), tf.float32)
            plain = batch_norm(inputs) * tf.cast(factors, inputs.dtype) + (added if summand else 0)
            found = batch_norm(inputs, activation=PRelu('named') if activation is prelu else activation, added=added,
                               scaled=lambda each: each * tf.cast(factors, each.dtype), scope='another')
        slopes = [v.op.name for v in tf.trainable_variables() if v.op.name.endswith('alpha')]
        assert slopes == ['named/alpha'] * (activation is prelu)
        assert found.dtype == inputs.dtype
        session.run(tf.global_variables_initializer())
        plain, found = session.run([tf.cast(each, tf.float32) for each in (plain, found)])
        wanted = session.run(activation(plain)) if activation else plain
        kinds = {op.type for op in session.graph.get_operations()}
    # In bfloat16 our kernel rounds once, behind the activation, and TensorFlow's operations one after the other.
    np.testing.assert_allclose(found, wanted, rtol=2.0 ** -7 if features == tf.bfloat16 else 1e-6,
                               atol=2.0 ** -6 if features == tf.bfloat16 else 1e-6)
    assert ('DeeplabBatchNorm' in kinds) != ('FusedBatchNormV3' in kinds) == (features is None)


def test_without_training_there_are_no_kernels_of_our_own():
    """What predicts and what is exported runs wherever TensorFlow does."""
    with tf.Graph().as_default() as graph:
        outputs = build(tf.constant(X, tf.float32), training=False, features=tf.bfloat16)
        assert outputs.dtype == tf.float32
        assert not [op.type for op in graph.get_operations() if op.type.startswith('Deeplab')]


def test_an_unknown_state_names_the_choices():
    with pytest.raises(ValueError, match="'frozen' is unknown; did you mean freeze"):
        model_scope(training=True, batch_norm='frozen')


class Strategy:
    """What `_update_all` asks of two replicas: a sum or a mean of their pairs, and an update in place."""

    extended = property(lambda self: self)

    def batch_reduce_to(self, operation, pairs):
        total = {tf.distribute.ReduceOp.SUM: 1, tf.distribute.ReduceOp.MEAN: 2}
        return [sum(values) / total[operation] for values, _ in pairs]

    def update(self, variable, function, args):
        return function(variable, *args)


def test_averages_move_towards_the_mean_over_replicas_and_batches_come_in_turn():
    with tf.Graph().as_default(), tf.Session() as session:
        one, other = (tf.get_variable(name, initializer=8.0) for name in ('one', 'other'))
        batches = [(tf.constant(1.0), tf.constant(3.0)), (tf.constant(4.0), tf.constant(8.0)),
                   (tf.constant(6.0), tf.constant(6.0))]
        update = conv._update_all(Strategy(), [one, other, one], batches, momenta=[0.5, 0.25, 0.5])
        session.run(tf.global_variables_initializer())
        session.run(update)
        assert session.run([one, other]) == [((8 + 2) / 2 + 6) / 2, 8 - 0.25 * (8 - 6)]


def replica_model(features, labels, mode, params):
    """One batch norm whose statistics are all that training changes."""
    y = build(features, training=mode == estimator.ModeKeys.TRAIN, features=params['features'])
    loss = 0.0 * tf.reduce_sum(y)
    train_op = tf.train.GradientDescentOptimizer(0.0).minimize(loss, tf.train.get_or_create_global_step())
    return estimator.EstimatorSpec(mode, loss=loss, train_op=tf.group(train_op, *update_over_replicas()))


def replica_input():
    """Each replica gets an example of its own; both repeat."""
    examples = tensorflow.data.Dataset.from_tensor_slices(X.astype(np.float32)).repeat().batch(1)
    return examples.map(lambda x: (x, 0))


def moving_means_after_two_steps(replicas, model_dir, dtype):
    options = {'features': dtype and tf.as_dtype(dtype)}
    run = estimator.Estimator(replica_model, model_dir, run_config(replicas), options)
    run.train(replica_input, max_steps=1)
    run.train(replica_input, max_steps=2)  # a second session, so that the copies go through a checkpoint
    return [run.get_variable_value(f'BatchNorm/{name}') for name in ('moving_mean', 'moving_variance')]


@pytest.mark.slow
@pytest.mark.parametrize('features', KERNELS)
def test_replicas_average_their_statistics(tmp_path, features):
    mean, variance = in_fresh_process(moving_means_after_two_steps, 2, str(tmp_path), features and features.name)
    count = X[0, ..., 0].size
    start_mean, start_variance = np.zeros(CHANNELS), np.ones(CHANNELS)
    for _ in range(2):
        start_mean = DECAY * start_mean + (1 - DECAY) * X.mean((0, 1, 2))
        start_variance = (DECAY * start_variance
                          + (1 - DECAY) * np.mean([x.var((0, 1)) for x in X], 0) * count / (count - 1))
    np.testing.assert_allclose(mean, start_mean, atol=1e-5)
    np.testing.assert_allclose(variance, start_variance, atol=1e-5)

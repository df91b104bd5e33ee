import json

import numpy as np
import pytest

from deeplab import losses, optimizer
from deeplab.compat import estimator, tensorflow, tf
from deeplab.recipes.schema import Optimizer, Schedule
from tests.deeplab.oracle import ORACLE, manifests
from tests.replicas import in_fresh_process, run_config


def rates(schedule, steps, max_steps=30000):
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.placeholder(tf.int64, [])
        rate = optimizer.learning_rate(schedule, step, max_steps)
        assert rate.dtype == tf.float32
        return [session.run(rate, {step: value}) for value in steps]


def oracle_rates():
    oracle = json.loads((ORACLE / 'learning_rate.json').read_text())
    cases = {name: (case['overrides'], case['lr']) for name, case in oracle['cases'].items()}
    assert len(cases) == 10
    return oracle, cases


FIELDS = {'base_learning_rate': 'learning_rate', 'learning_power': 'power', 'slow_start_step': 'slow_start_steps',
          'learning_rate_decay_factor': 'decay_factor', 'learning_rate_decay_step': 'step_size',
          'decay_steps': 'decay_steps',
          'end_learning_rate': 'end_learning_rate', 'boundaries': 'boundaries', 'boundary_learning_rates': 'values',
          'slow_start_learning_rate': 'slow_start_learning_rate'}


@pytest.mark.parametrize('case', ['poly', 'poly_power1', 'poly_decay10000_end1e-5', 'poly_slow100', 'step',
                                  'step_slow100', 'cosine', 'cosine_slow100', 'multi_steps'])
def test_policies_equal_the_official_ones(case):
    oracle, cases = oracle_rates()
    overrides, expected = cases[case]
    options = {**oracle['base'], **overrides}
    policy = {'multi_steps': 'piecewise'}.get(options['learning_policy'], options['learning_policy'])
    schedule = Schedule(policy=policy, **{FIELDS[key]: value for key, value in options.items() if key in FIELDS})
    found = rates(schedule, oracle['steps'], options['training_number_of_steps'])
    # The official float32 loses digits towards the end of poly: 3e-4 of the rate there, 3e-8 of the base rate.
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * schedule.learning_rate)


def test_warm_up_is_the_official_linear_slow_start_from_zero():
    oracle, cases = oracle_rates()
    _, linear = cases['poly_slow100_linear']
    found = rates(Schedule(warmup_steps=100), oracle['steps'])
    low, base = 1e-4, 0.007
    for step, rate, official in zip(oracle['steps'], found, linear, strict=True):
        expected = (official - low) / (base - low) * base if step < 100 else official
        np.testing.assert_allclose(rate, expected, rtol=1e-5, atol=1e-9)


def poly(step, schedule, decay_steps):
    return schedule.learning_rate * (1 - min(step, decay_steps) / decay_steps) ** schedule.power


def test_poly_stays_exact_to_the_last_step():
    schedule = Schedule()
    np.testing.assert_allclose(rates(schedule, [29998, 29999]), [poly(s, schedule, 30000) for s in (29998, 29999)],
                               rtol=1e-6)


def test_slow_start_comes_before_warm_up_and_warm_up_before_the_policy():
    schedule = Schedule(slow_start_steps=10, warmup_steps=20)
    expected = [1e-4, 1e-4, 0.0, 0.0035, 0.007, poly(70, schedule, 170), 0.0]
    np.testing.assert_allclose(rates(schedule, [0, 9, 10, 20, 30, 100, 200], 200), expected, rtol=1e-6, atol=1e-12)


def test_a_second_phase_counts_from_its_start_step():
    schedule = Schedule(start_step=1000, slow_start_steps=10)
    expected = [1e-4, 1e-4, 0.007, poly(990, schedule, 1990), 0.0]
    np.testing.assert_allclose(rates(schedule, [500, 1009, 1010, 2000, 3000], 3000), expected, rtol=1e-6, atol=1e-12)


def test_constant_is_constant():
    np.testing.assert_allclose(rates(Schedule(policy='constant'), [0, 7, 99999]), [0.007] * 3, rtol=1e-6)


def test_exponential_multiplies_once_every_interval():
    """FC-DenseNet: x0.995 an epoch, here of 100 steps; policy step does the same in steps."""
    options = {'decay_factor': 0.995, 'step_size': 100}
    found = rates(Schedule(policy='exponential', **options), [0, 50, 100, 1000])
    np.testing.assert_allclose(found, [0.007 * 0.995 ** epochs for epochs in (0, 0.5, 1, 10)], rtol=1e-6)
    found = rates(Schedule(policy='step', **options), [0, 99, 100, 1000])
    np.testing.assert_allclose(found, [0.007 * 0.995 ** epochs for epochs in (0, 0, 1, 10)], rtol=1e-6)


def test_cosine_falls_from_the_rate_to_its_end():
    """Loshchilov & Hutter, 2017, arXiv:1608.03983, equation 5, of a single period."""
    found = rates(Schedule(policy='cosine', learning_rate=0.5, end_learning_rate=0.1), [0, 25, 50, 100], 100)
    np.testing.assert_allclose(found, [0.1 + 0.4 * (1 + np.cos(np.pi * t)) / 2 for t in (0, 0.25, 0.5, 1)], rtol=1e-6)


@pytest.mark.parametrize('options, message', [
    ({'policy': 'linear'}, "'linear' is unknown; .*choices: poly, .*constant"),
    ({'unit': 'epochs'}, 'the schedule counts in epochs'),
    ({'slow_start_steps': 60, 'warmup_steps': 40}, 'nothing is left of max_steps 100'),
    ({'policy': 'piecewise', 'boundaries': (10,), 'values': (1.0,)}, 'one value more than there are boundaries'),
    ({'policy': 'piecewise', 'boundaries': (5, 10, 7), 'values': (1.0, 2.0, 3.0, 4.0)}, 'ascending boundaries'),
    ({'policy': 'piecewise', 'boundaries': (10, 10), 'values': (1.0, 2.0, 3.0)}, 'ascending boundaries'),
])
def test_impossible_schedules_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        rates(Schedule(**options), [0], 100)


def momentum_steps(w, gradients, rate):
    velocity = 0
    for g in gradients:
        velocity = 0.8 * velocity + g
        w = w - rate * velocity
    return w


def sgd_steps(w, gradients, rate):
    return w - rate * sum(gradients)


def adam_steps(w, gradients, rate):
    m = v = 0
    for t, g in enumerate(gradients, 1):
        m, v = 0.5 * m + 0.5 * g, 0.99 * v + 0.01 * g * g
        w = w - rate * np.sqrt(1 - 0.99 ** t) / (1 - 0.5 ** t) * m / (np.sqrt(v) + 1e-3)
    return w


def rmsprop_steps(w, gradients, rate):
    square, velocity = 1.0, 0
    for g in gradients:
        square = 0.9 * square + 0.1 * g * g
        velocity = 0.8 * velocity + rate * g / np.sqrt(square + 1e-3)
        w = w - velocity
    return w


UPDATES = {'momentum': momentum_steps, 'adam': adam_steps, 'rmsprop': rmsprop_steps, 'sgd': sgd_steps}


def test_every_optimizer_follows_its_update_rule():
    assert set(UPDATES) == set(optimizer.OPTIMIZERS)
    gradients = np.array([[1.0, -2.0], [0.5, 0.25], [3.0, 1.0]])
    for name, steps in UPDATES.items():
        with tf.Graph().as_default(), tf.Session() as session:
            w = tf.get_variable('w', initializer=[1.0, 2.0])
            gradient = tf.placeholder(tf.float32, [2])
            options = Optimizer(name=name, momentum=0.8, beta1=0.5, beta2=0.99, epsilon=1e-3)
            chosen = optimizer.make_optimizer(options, 0.1)
            apply = chosen.apply_gradients([(gradient, w)])
            session.run(tf.global_variables_initializer())
            for value in gradients:
                session.run(apply, {gradient: value})
            expected = steps(np.array([1.0, 2.0]), gradients, 0.1)
            np.testing.assert_allclose(session.run(w), expected, rtol=1e-5, err_msg=name)
    with pytest.raises(ValueError, match="'sdg' is unknown; .*choices: momentum, adam, rmsprop, sgd"):
        optimizer.make_optimizer(Optimizer(name='sdg'), 0.1)


def test_multipliers_equal_the_official_ones():
    oracle = json.loads((ORACLE / 'gradient_multipliers.json').read_text())
    assert len(oracle) == 5
    for config, tables in oracle.items():
        names = [name for name, _ in manifests()[config]['variables']]
        for factor in (1, 10):
            for logits_only in (False, True):
                found = optimizer.gradient_multipliers(names, Optimizer(
                    last_layer_multiplier=float(factor), last_layers_contain_logits_only=logits_only,
                    bias_multiplier=2.0))
                expected = tables[f'multiplier_{factor}_logits_only_{logits_only}']
                assert set(expected) <= set(found)
                assert found == {name: expected.get(name, 1.0) for name in found}, config


NAMES = ['resnet_v1_50/conv1/weights', 'resnet_v1_50/conv1/BatchNorm/gamma', 'fc1_voc12/c0/weights',
         'fc1_voc12/c0/biases', 'logits/biases']


@pytest.mark.parametrize('options, expected', [
    # DeepLabv1 and v2: the head x10, its biases x20.
    ({'multipliers': {'^fc1_voc12/': 10.0, '^fc1_voc12/.*biases$': 2}}, [1, 1, 10, 20, 1]),
    # dongzhuoyao/tensorpack: the head's weights x5 and biases x10; its `betagammafix` stops gamma and beta.
    ({'multipliers': {'^fc1.*weights': 5, '^fc1.*biases': 10, 'BatchNorm/(gamma|beta)$': 0}}, [1, 0, 5, 10, 1]),
    ({'multipliers': {'logits': 3}, 'last_layer_multiplier': 10.0, 'bias_multiplier': 2.0}, [1, 1, 1, 2, 60]),
])
def test_patterns_multiply_the_gradients_of_the_names_that_they_match(options, expected):
    assert list(optimizer.gradient_multipliers(NAMES, Optimizer(**options)).values()) == expected


@pytest.mark.parametrize('logits_only', [False, True])
def test_a_new_head_is_what_the_multiplier_of_the_last_layers_reaches(logits_only):
    names = ['resnet_v1_50/conv1/weights', 'decoder/conv/weights', 'decoder/logits/weights', 'auxiliary/logits/weights']
    options = Optimizer(last_layer_multiplier=5.0, last_layers_contain_logits_only=logits_only)
    factors = optimizer.gradient_multipliers(names, options)
    assert optimizer.last_layers(names, options) == tuple(names[2:] if logits_only else names[1:])
    assert {name for name, factor in factors.items() if factor != 1} == set(optimizer.last_layers(names, options))


@pytest.mark.parametrize('multipliers, message', [
    ({'lr_multiply': 5}, "'lr_multiply' matches none of 5 trainable variables; .* resnet_v1_50, fc1_voc12, logits"),
    ({'(': 5}, 'is not a regular expression'),
    ({'logits': 'ten'}, "'ten' of 'logits' is not a number"),
    ({'logits': -1}, "-1 of 'logits' is not a number of at least 0"),
])
def test_impossible_multipliers_are_refused(multipliers, message):
    with pytest.raises(ValueError, match=message):
        optimizer.gradient_multipliers(NAMES, Optimizer(multipliers=multipliers))


INPUTS = np.random.RandomState(0).normal(size=(24, 3)).astype(np.float32)
TARGETS = np.random.RandomState(1).normal(size=(24, 1)).astype(np.float32)
WEIGHTS, BIAS = np.array([[0.5], [-1.0], [2.0]], np.float32), np.array([0.25], np.float32)
RATE, DECAY = 0.1, 0.01


def linear_train_op(inputs, targets, clip_norm):
    weights = tf.get_variable('logits/weights', initializer=WEIGHTS)
    bias = tf.get_variable('logits/biases', initializer=BIAS)
    variables = tf.trainable_variables()
    options = Optimizer(last_layer_multiplier=3.0, bias_multiplier=2.0)
    loss = tf.reduce_mean(tf.square(inputs @ weights + bias - targets))
    loss += losses.l2_loss(variables, DECAY, 'conv_weights')
    step = tf.train.get_or_create_global_step()
    chosen = optimizer.make_optimizer(options, RATE)
    gradients = optimizer.gradients(loss, chosen, variables)
    return loss, optimizer.apply(
        gradients, chosen, step, variables=variables, clip_norm=clip_norm, update_ops=[],
        multipliers=optimizer.gradient_multipliers([optimizer.variable_name(v) for v in variables], options))


def linear_in_numpy(batches, clip_norm):
    """Weights and bias after these batches: gradient of mean squares and decay, clip, times 3 and 6, momentum 0.9."""
    w, b = WEIGHTS.astype(np.float64), BIAS.astype(np.float64)
    velocity_w, velocity_b = np.zeros_like(w), np.zeros_like(b)
    for x, y in batches:
        error = 2 * (x @ w + b - y) / len(x)
        gradient_w, gradient_b = x.T @ error + DECAY * w, error.sum(0)
        if clip_norm:
            scale = min(1, clip_norm / np.sqrt((gradient_w ** 2).sum() + (gradient_b ** 2).sum()))
            gradient_w, gradient_b = gradient_w * scale, gradient_b * scale
        velocity_w, velocity_b = 0.9 * velocity_w + 3 * gradient_w, 0.9 * velocity_b + 6 * gradient_b
        w, b = w - RATE * velocity_w, b - RATE * velocity_b
    return w, b


def train_linear(replicas, per_replica, clip_norm, model_dir):
    def model_fn(features, labels, mode):
        loss, train = linear_train_op(features, labels, clip_norm)
        return estimator.EstimatorSpec(mode, loss=loss, train_op=train)

    def input_fn():
        return tensorflow.data.Dataset.from_tensor_slices((INPUTS, TARGETS)).batch(per_replica)
    net = estimator.Estimator(model_fn, config=run_config(replicas, model_dir=model_dir))
    net.train(input_fn)
    return net.get_variable_value('logits/weights'), net.get_variable_value('logits/biases'), int(
        net.get_variable_value('global_step'))


@pytest.mark.parametrize('clip_norm', [None, 0.5])
@pytest.mark.parametrize('replicas, per_replica', [(1, 8), (2, 4)])
def test_replicas_with_half_the_batch_train_the_same_weights(replicas, per_replica, clip_norm, tmp_path):
    weights, bias, step = in_fresh_process(train_linear, replicas, per_replica, clip_norm, str(tmp_path))
    batches = [(INPUTS[i:i + 8], TARGETS[i:i + 8]) for i in range(0, 24, 8)]
    expected = linear_in_numpy(batches, clip_norm)
    assert step == len(batches)
    np.testing.assert_allclose(weights, expected[0], rtol=1e-5)
    np.testing.assert_allclose(bias, expected[1], rtol=1e-5)


def test_clipping_matters_in_that_test():
    batches = [(INPUTS[:8], TARGETS[:8])]
    assert not np.allclose(linear_in_numpy(batches, None)[0], linear_in_numpy(batches, 0.5)[0], rtol=1e-2)


def test_a_step_runs_update_ops_and_names_variables_without_a_gradient():
    with tf.Graph().as_default(), tf.Session() as session:
        used, moving, unused = (tf.get_variable(name, initializer=1.0) for name in ('used', 'moving', 'unused'))
        step = tf.train.get_or_create_global_step()
        options = {'multipliers': {}, 'update_ops': [moving.assign(5.0).op]}
        sgd = optimizer.make_optimizer(Optimizer(name='sgd'), 0.5)
        train = optimizer.apply(optimizer.gradients(used * used, sgd, [used]), sgd, step, variables=[used], **options)
        with pytest.raises(ValueError, match='does not depend on these variables: unused'):
            optimizer.gradients(used * used, sgd, [used, unused])
        session.run(tf.global_variables_initializer())
        session.run(train)
        assert session.run([used, moving, unused, step]) == [0.0, 5.0, 1.0, 1]

"""Losses, gradients and three optimizer steps of the official DeepLab on MobileNetV2, batch norm frozen."""

import json

import numpy as np
import pytest

from deeplab import losses, model_fn, optimizer, watched
from deeplab.compat import tf
from deeplab.recipes.schema import Optimizer, Schedule
from deeplab.training import train
from deeplab.training.estimators import model_variables
from tests.deeplab import fill, oracle
from tests.deeplab import official as configuration

BATCH, SIZE, CLASSES, IGNORE = 2, 65, 21, 255


@pytest.fixture(scope='module')
def official():
    return json.loads((oracle.ORACLE / 'train_mnv2_os16_voc.json').read_text())


class Model:
    """The recorded net on the recorded batch; `labels` and `step` are placeholders."""

    def __init__(self):
        with tf.Graph().as_default() as self.graph:
            images = tf.constant(fill.images(SIZE, SIZE, BATCH), tf.float32)
            self.logits = oracle.build(oracle.manifests()['mnv2_os16_voc'], images).logits
            self.labels = tf.placeholder(tf.int32, [BATCH, SIZE, SIZE])
            self.step = tf.placeholder(tf.int64, [])
            self.variables = tf.trainable_variables()

    def cross_entropy(self, ignore_label=IGNORE, **options):
        return losses.loss(self.logits, self.labels, ignore_label, step=self.step, **options)


@pytest.fixture(scope='module')
def model():
    return Model()


LABELS = fill.labels(BATCH, SIZE, SIZE, CLASSES)
IGNORED = np.full_like(LABELS, IGNORE)
TOP = {'top_k_percent': 0.25}
WEIGHTS = {'label_weights': [0.5 + i / CLASSES for i in range(CLASSES)]}

# name in the record -> (labels, step, options)
LOSSES = {
    'upsample_all': (LABELS, 0, {}),
    'noupsample_all': (LABELS, 0, {'upsample_logits': False}),
    'upsample_topk25': (LABELS, 0, TOP),
    'noupsample_topk25': (LABELS, 0, {'upsample_logits': False, **TOP}),
    'upsample_labelweights': (LABELS, 0, WEIGHTS),
    'upsample_labelweights_topk25': (LABELS, 0, {**WEIGHTS, **TOP}),
    'upsample_all_ignore0': (np.where(LABELS == IGNORE, 0, LABELS), 0, {'ignore_label': 0}),
    'upsample_all_when_everything_is_ignored': (IGNORED, 0, {}),
    'upsample_topk25_when_everything_is_ignored': (IGNORED, 0, TOP),
    **{f'upsample_topk25_ramp100_at_step_{step}': (LABELS, step, {'top_k_ramp_steps': 100, **TOP})
       for step in (0, 40, 100, 250)},
}


@pytest.fixture(scope='module', params=['A', 'B'])
def found(request, model, official):
    """(fill rule, {feed: values of all tensors}); one executor, because TensorFlow optimises the graph for each."""
    with model.graph.as_default(), tf.Session() as session:
        fill.fill(session, request.param)
        tensors = {name: model.cross_entropy(**options) for name, (_, _, options) in LOSSES.items()}
        tensors['regularization_loss'] = losses.l2_loss(model.variables, official['weight_decay'], 'conv_weights')
        tensors['total_upsample_all'] = tensors['upsample_all'] + tensors['regularization_loss']
        gradients = tf.gradients(tensors['total_upsample_all'], model.variables)
        tensors['norms'] = {v.op.name: tf.norm(g) for v, g in zip(model.variables, gradients, strict=True)}
        feeds = {name: (labels, step) for name, (labels, step, _) in LOSSES.items()}
        feeds |= dict.fromkeys(('regularization_loss', 'total_upsample_all', 'norms'), (LABELS, 0))
        values = {name: session.run(tensors, {model.labels: labels, model.step: step})[name]
                  for name, (labels, step) in feeds.items()}
    return request.param, values


def test_losses(found, model, official):
    rule, values = found
    expected = dict(official['losses'][rule])
    terms = len(losses.RULES['conv_weights']([variable.op.name for variable in model.variables]))
    assert terms == expected.pop('num_regularization_terms')
    assert len(expected) == 15 and set(expected) == set(values) - {'norms'}
    for name, value in expected.items():
        np.testing.assert_allclose(values[name], value, rtol=1e-5, err_msg=name)


def test_gradient_norms(found, official):
    rule, values = found
    expected = official['grad_l2_of_total_upsample_all'][rule]
    assert set(values['norms']) == set(expected) and len(expected) > 100
    for name, norm in values['norms'].items():
        np.testing.assert_allclose(norm, expected[name], rtol=1e-4, err_msg=name)


def test_three_steps(official):
    record, model = official['sgd_3_steps_ruleB'], Model()
    recipe = record['recipe']
    schedule = Schedule(policy=recipe['policy'], learning_rate=recipe['base_lr'], power=recipe['power'])
    options = Optimizer(momentum=recipe['momentum'], bias_multiplier=2.0,
                        last_layer_multiplier=recipe['last_layer_gradient_multiplier'])
    with model.graph.as_default(), tf.Session() as session:
        fill.fill(session, 'B')
        step = tf.train.get_or_create_global_step()
        rate = optimizer.learning_rate(schedule, step, recipe['steps'])
        loss = model.cross_entropy() + losses.l2_loss(model.variables, recipe['weight_decay'], 'conv_weights')
        chosen = optimizer.make_optimizer(options, rate)
        train_op = optimizer.apply(
            optimizer.gradients(loss, chosen, model.variables), chosen, step,
            multipliers=optimizer.gradient_multipliers([optimizer.variable_name(v) for v in model.variables], options),
            variables=model.variables, update_ops=tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        filled = {id(variable) for variable in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
        session.run(tf.variables_initializer([v for v in tf.global_variables() if id(v) not in filled]))
        assert len(record['trace']) == 4
        for point in record['trace']:
            fetches = [rate, loss] + [train_op] * (point['step'] < 3)
            found = session.run(fetches, {model.labels: LABELS, model.step: point['step']})
            np.testing.assert_allclose(found[0], point['lr'], rtol=1e-6)
            np.testing.assert_allclose(found[1], point['total_loss'], rtol=1e-5)
        check_weights(session, model.variables, record['after'])


def check_weights(session, variables, after):
    """Compares those that are recorded after the third step."""
    weights = {v.op.name: v for v in variables if v.op.name in after}
    assert len(weights) == len(after) >= 6
    for name, value in session.run(weights).items():
        expected = after[name]
        value = value.astype(np.float64)
        change = np.linalg.norm(value - fill.value(name, value.shape, 'B'))
        # The early layers move by about the last digit of their weights, where other kernels may round otherwise.
        rounding = np.sqrt(value.size) * np.spacing(np.float32(np.abs(value).max()))
        assert abs(change - expected['l2_of_change']) <= rounding + 1e-4 * expected['l2_of_change'], name
        np.testing.assert_allclose(np.linalg.norm(value), expected['l2'], rtol=1e-5)
        assert abs(value.sum() - expected['sum']) <= 1e-5 * np.abs(value).sum(), name


FROZEN = {'model.options': {'atrous_rates': [], 'dropout': 0.0}, 'batch_norm.mode': 'freeze_statistics',
          'train.batch_size': BATCH}


class Trained:
    """The official batch in the training graph that a recipe's fields give; `step` is fed."""

    def __init__(self, session, changes, rule):
        self.step = tf.placeholder(tf.int64, [])
        features = {'image': tf.constant(fill.images(SIZE, SIZE, BATCH), tf.float32),
                    'filename': tf.constant(['a', 'b']), 'number': self.step * BATCH + tf.range(BATCH, dtype=tf.int64)}
        run = configuration.resolved(FROZEN | changes)
        self.spec = model_fn.model_fn(features, tf.constant(LABELS), model_fn.MODES.TRAIN, {'run': run})
        session.run(tf.global_variables_initializer())
        fill.fill(session, rule)


@pytest.mark.parametrize(('name', 'step', 'changes'), [
    ('noupsample_all', 0, {'loss.upsample_logits': False}),
    ('upsample_labelweights_topk25', 0, {'loss.label_weights': WEIGHTS['label_weights'], 'loss.top_k_percent': 0.25}),
    ('upsample_topk25_ramp100_at_step_40', 40, {'loss.top_k_percent': 0.25, 'loss.top_k_ramp_steps': 100}),
])
def test_recipe_fields_reach_the_loss(name, step, changes, official, monkeypatch):
    monkeypatch.setattr(model_fn.optimizer, 'gradients', lambda *arguments: [])  # which take their time
    monkeypatch.setattr(model_fn, '_apply', lambda *arguments: tf.no_op())
    expected = official['losses']['A'][name] + official['losses']['A']['regularization_loss']
    with tf.Graph().as_default(), tf.Session() as session:
        training = Trained(session, changes, 'A')
        session.run(tf.train.get_global_step().assign(step))
        np.testing.assert_allclose(session.run(training.spec.loss, {training.step: step}), expected, rtol=1e-5)


@pytest.mark.slow
def test_three_steps_of_a_recipe(official):
    record = official['sgd_3_steps_ruleB']
    changes = {'schedule.learning_rate': record['recipe']['base_lr'], 'train.max_steps': record['recipe']['steps'],
               'optimizer.last_layer_multiplier': record['recipe']['last_layer_gradient_multiplier'],
               'optimizer.bias_multiplier': 2.0}
    with tf.Graph().as_default(), tf.Session() as session:
        training = Trained(session, changes, 'B')
        fetches = [*tf.get_collection(watched.LEARNING_RATE), training.spec.loss, training.spec.train_op]
        for point in record['trace'][:3]:
            rate, loss, _ = session.run(fetches, {training.step: point['step']})
            np.testing.assert_allclose(rate, point['lr'], rtol=1e-6)
            np.testing.assert_allclose(loss, point['total_loss'], rtol=1e-5)
        check_weights(session, tf.trainable_variables(), record['after'])


@pytest.mark.parametrize('logits_only', [False, True])
def test_a_recipe_leaves_the_last_layers_out(logits_only, tmp_path):
    tables = json.loads((oracle.ORACLE / 'gradient_multipliers.json').read_text())[configuration.CONFIG]
    expected = set(tables[f'not_restored_when_initialize_last_layer_false_logits_only_{logits_only}'])
    run = configuration.resolved({
        'init.checkpoint': configuration.write_checkpoint(tmp_path / 'released'), 'init.head': False,
        'optimizer.last_layers_contain_logits_only': logits_only})
    start = train._initialise(run, tmp_path / 'new', model_variables(run, training=True))
    names = {name for name, _ in oracle.manifests()[configuration.CONFIG]['variables']}
    assert names - set(start.assignment.values()) == expected - {'global_step'}

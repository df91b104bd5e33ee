"""Training with a loss scale that overflows: on a CPU in float32, by a scale near the largest number there is."""

import dataclasses
import io

import numpy as np
import pytest

from deeplab import loss_scale, model_fn, optimizer, run, watched
from deeplab.compat import estimator, slim, tensorflow, tf
from deeplab.layers.conv import biases, conv2d
from deeplab.nets.net import Net, Outputs
from deeplab.recipes.schema import Optimizer
from deeplab.training import hooks
from tests.deeplab import fill
from tests.models import tiny
from tests.replicas import in_fresh_process, run_config

SIDE, STEPS = 9, 8
TOO_LARGE = 8e37  # for gradients above 4.3: 3.4e38 is the largest float32; and 1/8e37 is still no denormal number
IMAGES = np.random.RandomState(0).uniform(0, 255, (STEPS, SIDE, SIDE, 3)).astype(np.float32)
LABELS = np.random.RandomState(1).randint(0, 4, (STEPS, SIDE, SIDE)).astype(np.int32)


def net(images, num_classes, backbone, *, training, **_):
    """Its gradients are as large as its pixels, so a large scale makes them overflow."""
    with slim.arg_scope([conv2d], initializer=tf.zeros_initializer()):
        return Outputs(conv2d(images / 2, num_classes, 1, scope='logits', normalizer=biases, activation=None), {})


def resolved(precision='float16'):
    chosen = run.resolve(tiny(schedule__policy='constant', schedule__learning_rate=1e-4, optimizer__name='adam',
                              train__batch_size=1, train__precision=precision, train__max_steps=STEPS,
                              data__crop_size=(SIDE, SIDE)))
    return dataclasses.replace(chosen, net=Net(net), net_options={})


class Filled(tf.train.SessionRunHook):
    """Begins with weights that aren't zero, and the largest loss scale."""

    def begin(self):
        self._begin = [v.assign(fill.value(v.op.name, v.shape.as_list())) for v in tf.model_variables()] + [
            v.assign(TOO_LARGE) for v in tf.global_variables() if v.op.name == 'current_loss_scale']
        self._step = tf.train.get_global_step()

    def after_create_session(self, session, coord):
        if session.run(self._step) == 0:
            session.run(self._begin)


class Noted(tf.train.SessionRunHook):
    """The count after each step."""

    def __init__(self):
        self.skipped = []

    def before_run(self, run_context):
        return tf.train.SessionRunArgs(tf.get_collection(watched.SKIPPED))

    def after_run(self, run_context, run_values):
        self.skipped += run_values.results


def train(model_dir, chosen, steps, more=(), images=range(STEPS), summaries=False):
    """Trains to the end of `steps` from the model_dir's checkpoint; returns every variable by name."""
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        counter = tf.placeholder(tf.int64, [])  # the input goes on, whatever becomes of the step
        number = tf.gather(tf.constant(list(images), tf.int64), counter)
        features = {'image': tf.gather(tf.constant(IMAGES), [number]), 'filename': tf.constant(['a']),
                    'number': counter[tf.newaxis]}
        spec = model_fn.model_fn(features, tf.gather(tf.constant(LABELS), [number]), model_fn.MODES.TRAIN,
                                 {'run': chosen})
        tf.add_to_collection(tf.GraphKeys.SAVERS, tf.train.Saver(save_relative_paths=True))
        saver = hooks.Saver(str(model_dir), chosen.recipe.train, hooks.StopSignal())
        shown = [tf.train.SummarySaverHook(1, output_dir=str(model_dir), summary_op=tf.summary.merge_all())]
        variables = tf.global_variables()
        with tf.train.SingularMonitoredSession([Filled(), *shown * summaries, *more, saver],
                                               checkpoint_dir=str(model_dir)) as session:
            for index in range(session.raw_session().run(step), steps):
                session.run(spec.train_op, {counter: index})
            return {v.op.name: session.raw_session().run(v) for v in variables}


def test_a_skipped_update_is_a_step_that_leaves_the_weights(tmp_path):
    noted = Noted()
    found = train(tmp_path / 'scaled', resolved(), STEPS, more=[noted])
    updated = [step for step, before in enumerate([0, *noted.skipped[:-1]]) if noted.skipped[step] == before]
    count = STEPS - len(updated)
    assert found['global_step'] == STEPS and noted.skipped[-1] == found['skipped_updates'] == count > 1
    assert found['current_loss_scale'] == np.float32(TOO_LARGE) / 2 ** count
    # Adam has counted, and averaged, the other steps only.
    expected = train(tmp_path / 'plain', resolved('float32'), len(updated), images=updated)
    for name in expected.keys() - {'global_step'}:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-7, err_msg=name)


def test_a_restart_changes_neither_the_weights_nor_the_scale_nor_the_count(tmp_path):
    whole = train(tmp_path / 'whole', resolved(), STEPS)
    train(tmp_path / 'halves', resolved(), STEPS // 2)
    halves = train(tmp_path / 'halves', resolved(), STEPS)
    assert {'current_loss_scale', 'good_steps', 'skipped_updates', 'beta1_power'} <= whole.keys() == halves.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(halves[name], value, err_msg=name)


def test_a_step_advances_after_its_learning_rate_is_read():
    """A skipped update doesn't need the rate: read late, it would be shown as the next step's."""
    with tf.Graph().as_default():
        step, rate = tf.train.get_or_create_global_step(), tf.placeholder(tf.float32, [])
        chosen = loss_scale.LossScaled(tf.train.GradientDescentOptimizer(rate), rate)
        advanced = chosen.apply_gradients([(tf.constant(1.0), tf.get_variable('weight', initializer=1.0))], step)
        found = [advanced]
        for op in found:
            found += op.control_inputs if 'If' in op.type else [*op.control_inputs, *(read.op for read in op.inputs)]
        assert any('If' in op.type for op in found) and rate.op in found  # a branch waits for its own inputs alone


def test_console_and_tensorboard_show_what_was_skipped(tmp_path):
    stream = io.StringIO()
    found = train(tmp_path, resolved(), STEPS, [hooks.Console(str(tmp_path), 1, STEPS, 1, stream)], summaries=True)
    assert f"  {found['skipped_updates']} skipped  " in stream.getvalue().splitlines()[-1]
    shown = {value.tag: value.simple_value for path in tmp_path.glob('events*')
             for event in tf.train.summary_iterator(str(path)) for value in event.summary.value}
    assert shown['loss_scale/skipped_updates'] == found['skipped_updates'] > 1
    assert shown['loss_scale/scale'] == found['current_loss_scale']
    train(tmp_path / 'plain', resolved('float32'), STEPS, [hooks.Console(str(tmp_path), 1, STEPS, 1, stream)])
    assert 'skipped' not in stream.getvalue().splitlines()[-1]


@pytest.mark.parametrize('scale, gradient, applied, skipped, then', [
    (4.0, 1.0, True, 0, 4.0), (4.0, np.inf, False, 1, 2.0), (2.0, np.nan, False, 1, 1.0),
    # Nothing is left to lower: as in float32, the weights end as what stops the run.
    (1.0, np.nan, True, 0, 1.0)])
def test_what_is_not_finite_is_skipped_while_the_scale_can_be_lowered(scale, gradient, applied, skipped, then):
    with tf.Graph().as_default(), tf.Session() as session:
        scaling = loss_scale.CountingLossScale()
        update, finite = scaling.update([tf.constant([1.0, gradient]), tf.constant(1.0)])
        session.run(tf.global_variables_initializer())
        tf.global_variables()[0].load(scale, session)
        assert session.run([finite, update])[0] == applied
        assert session.run([scaling.skipped, scaling()]) == [skipped, then]



def train_on_replicas(model_dir):
    """Three steps of two replicas whose gradients are 1 and 2, 3 and inf, 4 and 5."""
    def model_fn(features, labels, mode):
        weight = tf.get_variable('weight', initializer=1.0)
        chosen = loss_scale.LossScaled(optimizer.make_optimizer(Optimizer(name='sgd'), 0.5), tf.constant(0.5))
        loss = tf.reduce_mean(features) * weight
        train_op = optimizer.apply(optimizer.gradients(loss, chosen, [weight]), chosen,
                                   tf.train.get_or_create_global_step(), multipliers={}, variables=[weight],
                                   update_ops=[])
        skipped = chosen.after(train_op)['loss_scale/skipped_updates']
        return estimator.EstimatorSpec(mode, loss=loss, train_op=tf.group(train_op, skipped))

    batches = np.array([1, 2, 3, np.inf, 4, 5], np.float32)
    net = estimator.Estimator(model_fn, config=run_config(2, model_dir=model_dir))
    net.train(lambda: tensorflow.data.Dataset.from_tensor_slices(batches).batch(1))
    return {name: net.get_variable_value(name) for name in net.get_variable_names()}


@pytest.mark.slow
def test_where_one_replica_overflows_all_skip(tmp_path):
    assert in_fresh_process(train_on_replicas, str(tmp_path)) == {
        'weight': 1 - 0.5 * (1.5 + 4.5), 'global_step': 3, 'skipped_updates': 1, 'current_loss_scale': 2 ** 14,
        'good_steps': 1}

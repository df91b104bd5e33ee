"""The console line, and the saver's refusals, in small sessions."""

import io
import time
from types import SimpleNamespace

import numpy as np
import pytest
from tensorflow_estimator.python.estimator import training as estimator_training

from console.exits import Failed
from deeplab import watched
from deeplab.compat import tf
from deeplab.recipes.schema import Train
from deeplab.training import hooks


class Terminal(io.StringIO):
    def isatty(self):
        return True


def train(hooks_, steps, losses=None):
    """Runs hooks around a graph that counts, from the checkpoint that a saver's folder has; `losses` by step."""
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        weight = tf.get_variable('weight', [2], initializer=tf.ones_initializer())
        batch_step = tf.identity(step)
        loss = tf.gather(tf.constant(losses or [1.0] * 100), batch_step)
        with tf.control_dependencies([batch_step, loss]):
            update = tf.group(step.assign_add(1), weight.assign(weight * loss))
        for name, tensor in ((watched.STEP, batch_step), (watched.LOSS, loss),
                             (watched.LEARNING_RATE, tf.constant(0.25)),
                             (watched.FILENAMES, tf.constant(['a.jpg', 'b.jpg']))):
            tf.add_to_collection(name, tensor)
        tf.add_to_collection(tf.GraphKeys.SAVERS, tf.train.Saver(save_relative_paths=True))
        folder = next((hook._checkpoint_dir for hook in hooks_ if isinstance(hook, hooks.Saver)), None)
        with tf.train.SingularMonitoredSession(hooks_, checkpoint_dir=folder) as session:
            for _ in range(steps):
                if not session.should_stop():
                    session.run(update)


def console(tmp_path, stream, seconds_per_step=2.0):
    """A console whose clock advances by a step's time between before_run and after_run, and by as much in between."""
    ticks = iter(np.arange(0, 1000, seconds_per_step))
    return hooks.Console(str(tmp_path), 2, 5, 8, stream, lambda: next(ticks))


def test_the_console_counts_the_steps_time_only_and_everything_in_the_eta(tmp_path):
    stream = io.StringIO()
    train([console(tmp_path, stream)], 5)
    # 8 images in 2 s of a step; 4 s from step to step with what lies between them, 2 steps left after the third.
    assert stream.getvalue().splitlines() == ['step 3/5  loss 1.0000  lr 2.50e-01  4.0 images/s  ETA 0:08',
                                              'step 5/5  loss 1.0000  lr 2.50e-01  4.0 images/s  ETA 0:00']


def test_the_console_rewrites_its_line_on_a_terminal(tmp_path):
    stream = Terminal()
    train([console(tmp_path, stream)], 5)
    assert stream.getvalue().count('\r') == 2 and stream.getvalue().endswith('\n')


def test_nan_names_step_rate_and_files(tmp_path):
    with pytest.raises(Failed, match=r'at step 2 \(learning rate 0.25\); the batch was: a.jpg, b.jpg'):
        train([hooks.StopOnNan()], 4, [1.0, 1.0, float('nan'), 1.0])


def test_the_saver_writes_no_weights_that_are_not_finite(tmp_path):
    stop = hooks.StopSignal()
    with pytest.raises(Failed, match='weight'):
        train([saver(tmp_path, stop, save_steps=1)], 4, [1.0, 2.0, float('inf'), 1.0])
    latest = tf.train.latest_checkpoint(str(tmp_path))
    assert latest.endswith('model.ckpt-2')
    np.testing.assert_array_equal(tf.train.load_checkpoint(latest).get_tensor('weight'), [2, 2])


def saver(tmp_path, stop=None, listener=None, clock=time.monotonic, **options):
    """A saver with Estimator's own throttle, which model_dir's evaluations go through, around `listener`."""
    off = {'save_steps': 0, 'save_secs': 0, 'eval_steps': 0, 'eval_secs': 0}
    made = hooks.Saver(str(tmp_path), Train(**off | options), stop or hooks.StopSignal(), clock)
    made._listeners = [listener] if listener else []
    return made


class Evaluation:
    """What Estimator's listener calls; `steps` were evaluated, in `seconds` each."""

    def __init__(self, tmp_path, seconds=0):
        self.steps, self.now, self._seconds, self._folder = [], 0, seconds, tmp_path

    def evaluate_and_export(self):
        self.steps.append(int(tf.train.latest_checkpoint(str(self._folder)).rpartition('-')[2]))
        self.now += self._seconds
        return SimpleNamespace(status='evaluated'), []

    def listener(self):
        return estimator_training._NewCheckpointListenerForEvaluate(self, 0,
                                                                    estimator_training._ContinuousEvalListener())

    def clock(self):
        return self.now


class Seconds(tf.train.SessionRunHook):
    """Lets every step take one."""

    def __init__(self, evaluation):
        self._evaluation = evaluation

    def after_run(self, run_context, run_values):
        self._evaluation.now += 1


def evaluated(tmp_path, seconds, steps, *more, **options):
    """(steps that were evaluated, those of which there are checkpoints) with steps of a second."""
    evaluation = Evaluation(tmp_path, seconds)
    train([Seconds(evaluation), *more, saver(tmp_path, listener=evaluation.listener(), clock=evaluation.clock,
                                             **options)], steps)
    return evaluation.steps, sorted(int(path.suffixes[0].rpartition('-')[2]) for path in tmp_path.glob('*.index'))


def test_an_evaluation_that_takes_long_leaves_time_for_training(tmp_path):
    steps, saved = evaluated(tmp_path, 1200, 25, save_steps=1000, save_secs=10, eval_secs=10)
    assert steps == [10, 20, 25]
    assert saved == [0, 10, 20, 25]


def test_checkpoints_are_evaluated_some_seconds_after_the_last_evaluation(tmp_path):
    steps, saved = evaluated(tmp_path, 1200, 20, save_steps=3, eval_secs=7)
    assert steps == [9, 18, 20]  # 3 + 6 seconds after the step 0, then 9 after the step 9
    assert saved == [9, 12, 15, 18, 20]  # five are kept


@pytest.mark.parametrize(('seconds', 'options'), [
    (0, {'save_steps': 0}), (1200, {'save_steps': 5, 'save_secs': 3}), (3, {'save_secs': 1, 'eval_secs': 1})])
def test_which_steps_are_evaluated_does_not_depend_on_time_nor_on_other_checkpoints(tmp_path, seconds, options):
    steps, saved = evaluated(tmp_path, seconds, 18, eval_steps=4, **options)
    assert steps == [4, 8, 12, 16, 18]
    if options == {'save_steps': 0}:
        assert saved == steps


def test_a_resumed_run_evaluates_the_steps_of_an_uninterrupted_one(tmp_path):
    assert evaluated(tmp_path, 0, 6, save_steps=3, eval_steps=4)[0] == [4, 6]
    assert evaluated(tmp_path, 0, 7, save_steps=3, eval_steps=4)[0] == [8, 12, 13]


def test_without_steps_and_seconds_the_last_step_is_evaluated(tmp_path):
    steps, saved = evaluated(tmp_path, 0, 7, save_steps=3)
    assert (steps, saved) == ([7], [0, 3, 6, 7])


def test_the_saver_keeps_both_cadences(tmp_path):
    assert evaluated(tmp_path, 0, 11, save_steps=4, save_secs=3)[1] == [0, 3, 6, 9, 11]
    (tmp_path / 'steps').mkdir()
    assert evaluated(tmp_path / 'steps', 0, 7, save_steps=3, save_secs=5)[1] == [0, 3, 6, 7]


def test_a_signal_saves_the_last_step_and_stops(tmp_path):
    stop = hooks.StopSignal()

    class Signal(tf.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            stop.number = 15

    train([Signal(), hooks.StopOnSignal(stop), saver(tmp_path, stop, save_steps=100)], 7)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-1')
    assert stop.exit_status == 143

"""The console line, and the saver's refusals, in small sessions."""

import io

import numpy as np
import pytest

from console.exits import Failed
from deeplab import watched
from deeplab.compat import tf
from deeplab.training import hooks


class Terminal(io.StringIO):
    def isatty(self):
        return True


def train(hooks_, steps, losses=None):
    """Runs hooks around a graph that counts; `losses` feeds the loss of each step."""
    with tf.Graph().as_default():
        step = tf.train.get_or_create_global_step()
        weight = tf.get_variable('weight', [2], initializer=tf.ones_initializer())
        batch_step = tf.identity(step)
        loss = tf.gather(tf.constant(losses or [1.0] * steps), batch_step)
        with tf.control_dependencies([batch_step, loss]):
            update = tf.group(step.assign_add(1), weight.assign(weight * loss))
        for name, tensor in ((watched.STEP, batch_step), (watched.LOSS, loss),
                             (watched.LEARNING_RATE, tf.constant(0.25)),
                             (watched.FILENAMES, tf.constant(['a.jpg', 'b.jpg']))):
            tf.add_to_collection(name, tensor)
        tf.add_to_collection(tf.GraphKeys.SAVERS, tf.train.Saver(save_relative_paths=True))
        with tf.train.SingularMonitoredSession(hooks_) as session:
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
        train([hooks.Saver(str(tmp_path), 1, 0, stop)], 4, [1.0, 2.0, float('inf'), 1.0])
    latest = tf.train.latest_checkpoint(str(tmp_path))
    assert latest.endswith('model.ckpt-2')
    np.testing.assert_array_equal(tf.train.load_checkpoint(latest).get_tensor('weight'), [2, 2])


def test_the_saver_keeps_both_cadences(tmp_path):
    train([hooks.Saver(str(tmp_path), 3, 10**6, hooks.StopSignal())], 7)
    steps = [path.suffixes[0] for path in sorted(tmp_path.glob('*.index'))]
    assert steps == ['.ckpt-0', '.ckpt-3', '.ckpt-6', '.ckpt-7']


def test_a_signal_saves_the_last_step_and_stops(tmp_path):
    stop = hooks.StopSignal()

    class Signal(tf.train.SessionRunHook):
        def after_run(self, run_context, run_values):
            stop.number = 15

    train([Signal(), hooks.StopOnSignal(stop), hooks.Saver(str(tmp_path), 100, 0, stop)], 7)
    assert tf.train.latest_checkpoint(str(tmp_path)).endswith('model.ckpt-1')
    assert stop.exit_status == 143

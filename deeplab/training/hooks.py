"""What surrounds a training step: checkpoints, the console line, stopping on a signal, naming the batch of a NaN.

They watch the tensors that `model_fn` leaves in the collections of `watched`.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from console.exits import Failed
from console.progress import duration
from deeplab import watched
from deeplab.compat import tf
from deeplab.recipes.schema import Train


class StopSignal:
    """Notes SIGTERM and SIGINT, so that training ends after the current step; a second signal ends at once."""

    def __init__(self) -> None:
        self.number = 0

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        if self.number:
            os._exit(128 + number)
        self.number = number
        print(f'\nsignal {number}: writing a checkpoint, then stopping (once more: stop at once)', file=sys.stderr,
              flush=True)

    @property
    def exit_status(self) -> int:
        """143 after SIGTERM, 130 after SIGINT, 0 without a signal."""
        return 128 + self.number if self.number else 0


class StopOnSignal(tf.train.SessionRunHook):
    """Ends training after the current step when a signal was noted."""

    def __init__(self, stop: StopSignal):
        self._stop = stop

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        if self._stop.number:
            run_context.request_stop()


class StopEarly(tf.train.SessionRunHook):
    """Ends training after the current step when `is_enough` says so; must stand after the saver, which evaluates."""

    def __init__(self, is_enough: Callable[[], bool]):
        self._is_enough = is_enough

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        if self._is_enough():
            run_context.request_stop()


class StopOnNan(tf.train.SessionRunHook):
    """Raises Failed at a non-finite loss, naming the images of that batch; must stand before the saver."""

    def begin(self) -> None:
        self._watched = {'loss': tf.get_collection(watched.LOSS), 'files': tf.get_collection(watched.FILENAMES),
                         'learning_rate': tf.get_collection(watched.LEARNING_RATE)[0],
                         'step': tf.get_collection(watched.STEP)[0]}

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs:
        return tf.train.SessionRunArgs(self._watched)

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        seen = run_values.results
        if np.all(np.isfinite(seen['loss'])):
            return
        files = [name.decode(errors='replace') for batch in seen['files'] for name in batch]
        raise Failed(
            f'the loss is {seen["loss"]} at step {seen["step"]} (learning rate {seen["learning_rate"]:g}); the batch '
            f'was: {", ".join(files)}. No checkpoint of this step was written. Lower schedule.learning_rate, set '
            f'optimizer.clip_norm, or look at these files; starting again resumes from the last checkpoint.')


class Saver(tf.train.CheckpointSaverHook):
    """Writes checkpoints every so many steps and seconds, so that a kill at any moment leaves a usable one.

    Evaluated are those at multiples of `eval_steps`, which are written in any case; without it, what is written
    `eval_secs` or more after the last evaluation; and that of the last step. The seconds of both begin anew when an
    evaluation ends: it may take longer than they are, and every step after it would be written and evaluated.

    Beyond Estimator's own: the step just restored isn't written again (stock code truncates the file that `checkpoint`
    points at), non-finite weights are never written, files are flushed to the disk, and after a signal no evaluation
    follows the last save.
    """

    def __init__(self, model_dir: str, options: Train, stop: StopSignal,
                 clock: Callable[[], float] = time.monotonic):
        super().__init__(model_dir, save_steps=1, save_graph_def=False)  # its timer isn't asked
        self._options, self._stop, self._clock = options, stop, clock

    def begin(self) -> None:
        super().begin()
        self._batch_step = tf.get_collection(watched.STEP)[0]
        variables = [v for v in tf.global_variables() if v.dtype.is_floating]
        self._names = [v.op.name for v in variables]
        self._finite = [tf.reduce_all(tf.is_finite(v)) for v in variables]

    def after_create_session(self, session: tf.Session, coord: tf.train.Coordinator) -> None:
        step = session.run(self._global_step_tensor)
        self._summary_writer.add_graph(tf.get_default_graph())
        self._last_step = step
        if not self._saved(step):
            self._write(session, step)
        # Estimator's evaluation listener waits for this first call, and does nothing in it.
        self._evaluate(session, step)

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs:
        return tf.train.SessionRunArgs(self._batch_step)

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        step = int(run_values.results) + 1
        options, now = self._options, self._clock()
        is_due = bool(_has_passed(options.save_steps, self._last_step, step) or
                      _has_passed(options.save_secs, self._last_save, now))
        is_evaluated = (step % options.eval_steps == 0 if options.eval_steps else
                        is_due and _has_passed(options.eval_secs, self._last_evaluation, now))
        if is_due or is_evaluated:
            self._write(run_context.session, step)
        if is_evaluated and self._evaluate(run_context.session, step):
            run_context.request_stop()

    def end(self, session: tf.Session) -> None:
        step = session.run(self._global_step_tensor)
        if not self._saved(step):
            self._write(session, step)
        if not self._stop.number:
            for listener in self._listeners:  # Estimator's evaluates the last step, unless it has done so
                listener.end(session, step)

    def _saved(self, step: int) -> bool:
        latest = tf.train.latest_checkpoint(self._checkpoint_dir)
        return latest is not None and Path(latest).name == f'model.ckpt-{step}'

    def _evaluate(self, session: tf.Session, step: int) -> bool:
        """Whether a listener asks to stop."""
        wishes = [listener.after_save(session, step) for listener in self._listeners]  # all of them are called
        self._last_save = self._last_evaluation = self._clock()
        return any(wishes)

    def _write(self, session: tf.Session, step: int) -> None:
        bad = [name for name, finite in zip(self._names, session.run(self._finite), strict=True) if not finite]
        if bad:
            raise Failed(f'{len(bad)} variables are not finite at step {step}, such as {bad[0]}; no checkpoint '
                                 f'was written. Starting again resumes from the last one; lower the learning rate.')
        path = self._get_saver().save(session, self._save_path, global_step=step, write_meta_graph=False)
        _flush(Path(path))
        self._last_step, self._last_save = step, self._clock()


def _has_passed(interval: int, since: float, now: float) -> bool:
    """Whether so many steps or seconds have; 0 never do."""
    return 0 < interval <= now - since


def _flush(prefix: Path) -> None:
    """Waits until a checkpoint's files and their folder are on the disk."""
    for path in [*prefix.parent.glob(prefix.name + '.*'), prefix.parent]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Console(tf.train.SessionRunHook):
    """A live line (step, loss, learning rate, images/s, ETA); plain lines when the output is not a terminal.

    Writes images/s to TensorBoard too. The rate is that of the steps alone; the ETA counts evaluations and checkpoints
    as they came. Updates that a loss scale skipped are named once there are any. Must stand before the saver, which
    evaluates.
    """

    def __init__(self, model_dir: str, every: int, max_steps: int, images_per_step: int,
                 stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic):
        self._model_dir, self._every, self._max_steps = model_dir, every, max_steps
        self._images_per_step = images_per_step
        self._stream = stream or sys.stderr
        self._clock = clock

    def begin(self) -> None:
        self._fetches = {'step': tf.get_collection(watched.STEP)[0], 'loss': tf.get_collection(watched.LOSS),
                         'learning_rate': tf.get_collection(watched.LEARNING_RATE)[0],
                         'skipped': tf.get_collection(watched.SKIPPED)[:1]}
        # (steps done, time) after the first step, which pays for start-up
        self._first: tuple[int, float] | None = None
        self._steps, self._seconds = 0, 0.0  # since the last line

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs:
        self._begun = self._clock()
        return tf.train.SessionRunArgs(self._fetches)

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        now, done = self._clock(), int(run_values.results['step']) + 1
        if self._first is None:
            self._first = (done, now)
            return
        self._steps += 1
        self._seconds += now - self._begun
        if self._steps >= self._every or done >= self._max_steps:
            self._report(self._first, done, now, run_values.results)
            self._steps, self._seconds = 0, 0.0

    def _report(self, first: tuple[int, float], done: int, now: float, seen: Mapping[str, Any]) -> None:
        rate = self._steps * self._images_per_step / max(self._seconds, 1e-9)
        begun, since = first
        left = (self._max_steps - done) * (now - since) / (done - begun)
        skipped = ''.join(f'{count} skipped  ' for count in seen['skipped'] if count)
        line = (f'step {done}/{self._max_steps}  loss {np.mean(seen["loss"]):.4f}  lr {seen["learning_rate"]:.2e}  '
                f'{skipped}{rate:.1f} images/s  ETA {duration(left)}')
        self._stream.write(f'\r{line}\x1b[K' if self._stream.isatty() else line + '\n')
        self._stream.flush()
        tf.summary.FileWriterCache.get(self._model_dir).add_summary(
            tf.Summary(value=[tf.Summary.Value(tag='images_per_second', simple_value=rate)]), done)

    def end(self, session: tf.Session) -> None:
        if self._stream.isatty():
            self._stream.write('\n')

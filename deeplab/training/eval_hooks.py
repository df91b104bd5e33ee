"""What surrounds an evaluation: progress, pictures for TensorBoard and for folders, stopping on a signal.

They watch the tensors that `model_fn` leaves in the collections of `watched`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from console.files import whole
from console.progress import Progress
from deeplab import summaries, watched
from deeplab.compat import tf
from deeplab.training.hooks import StopSignal


class Terminated(Exception):
    """A signal arrived during an evaluation, when the checkpoint has already been written."""


class StopOnSignal(tf.train.SessionRunHook):
    """Ends an evaluation at once when a signal was noted."""

    def __init__(self, stop: StopSignal):
        self._stop = stop

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        if self._stop.number:
            raise Terminated


class ShowProgress(tf.train.SessionRunHook):
    """Counts the evaluated images."""

    def __init__(self, make_progress: Callable[[], Progress]):
        self._make = make_progress

    def begin(self) -> None:
        self._progress = self._make()

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        self._progress.update()

    def end(self, session: tf.Session) -> None:
        self._progress.close()


class Names(tf.train.SessionRunHook):
    """Collects the names of the evaluated images, in order."""

    def begin(self) -> None:
        self.found: list[str] = []
        self._names = tf.get_collection(watched.EVALUATED_FILENAMES)[0]

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs:
        return tf.train.SessionRunArgs(self._names)

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        self.found += [name.decode(errors='replace') for name in run_values.results]


class FirstPictures(tf.train.SessionRunHook):
    """Collects image | truth | prediction of the first images of a split, and hands them on at the end."""

    def __init__(self, count: int):
        self._count = count

    def begin(self) -> None:
        self.pictures: list[tuple[str, np.ndarray]] = []  # file name, uint8 [H,3W,3]
        self._fetches = [tf.get_collection(watched.EVALUATED_FILENAMES)[0], tf.get_collection(watched.TRIPTYCH)[0]]

    def before_run(self, run_context: tf.train.SessionRunContext) -> tf.train.SessionRunArgs | None:
        return tf.train.SessionRunArgs(self._fetches) if len(self.pictures) < self._count else None

    def after_run(self, run_context: tf.train.SessionRunContext, run_values: tf.train.SessionRunValues) -> None:
        if run_values.results:
            (name,), (picture,) = run_values.results
            self.pictures.append((name.decode(errors='replace'), picture))


class PicturesToTensorBoard(FirstPictures):
    """Writes the first triptychs and the confusion matrix as image summaries."""

    def __init__(self, eval_dir: Path, count: int, class_names: Sequence[str]):
        super().__init__(count)
        self._eval_dir, self._class_names = eval_dir, class_names

    def begin(self) -> None:
        super().begin()
        self._state = [tf.train.get_global_step(), tf.get_collection(watched.MATRIX)[0]]

    def end(self, session: tf.Session) -> None:
        step, matrix = session.run(self._state)
        writer = tf.summary.FileWriterCache.get(str(self._eval_dir))
        for index, (_, picture) in enumerate(self.pictures):
            writer.add_summary(summaries.image_summary(f'image_truth_prediction/{index}', picture), step)
        picture = summaries.confusion_picture(matrix, self._class_names)
        writer.add_summary(summaries.image_summary('confusion_matrix', picture), step)
        writer.flush()


class PicturesToFolder(FirstPictures):
    """Writes the first triptychs as PNGs, named after their images."""

    def __init__(self, folder: Path, count: int):
        super().__init__(count)
        self._folder = folder

    def end(self, session: tf.Session) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name, picture in self.pictures:
            with whole(self._folder / f'{Path(name).stem}.png') as aside:
                Image.fromarray(picture).save(aside, 'png')

"""Evaluates a trained model on a split under the protocol of its recipe, from exact confusion matrices."""

import time
from pathlib import Path

import numpy as np

from console.progress import Progress
from deeplab import metrics
from deeplab.compat import tensorflow
from deeplab.recipes import protocol
from deeplab.reports.measurement import Measurement
from deeplab.run import Run
from deeplab.trained import checkpointed
from deeplab.trained.checkpointed import Trained
from deeplab.training import corrupt, eval_hooks, inputs
from pretrained import restore


def evaluate(model: Trained, model_dir: Path | None = None, pictures: Path | None = None) -> Measurement:
    """Runs the recipe's evaluation split through the recipe's protocol.

    With a model_dir, scores and pictures go to TensorBoard, into a folder per split and protocol, so that curves of
    different protocols don't mix; `pictures` is a folder for image | truth | prediction of the first images, as PNGs.

    Raises:
      ValueError: the records are missing, empty or damaged.
    """
    run = model.run
    recipe = run.recipe
    index = inputs.index_evaluation(run)
    name = f'{recipe.data.eval_split}_{protocol.name(protocol.describe(recipe))}'
    watching = [eval_hooks.ShowProgress(lambda: Progress(index.num_examples, f'evaluating {recipe.data.eval_split}'))]
    if model_dir is not None:
        watching.append(eval_hooks.PicturesToTensorBoard(model_dir / f'eval_{name}', recipe.train.eval_images,
                                                         run.dataset.class_names))
    if pictures is not None:
        watching.append(eval_hooks.PicturesToFolder(pictures, recipe.train.eval_images))
    start = time.monotonic()
    with checkpointed.folder_for_events(model_dir) as folder, corrupt.listed(index):
        values = model.make_estimator(folder).evaluate(
            inputs.eval_input(run, index), hooks=watching, checkpoint_path=model.prefix, name=name)
    return Measurement(
        recipe=recipe, dataset=run.dataset,
        confusion_matrix=np.asarray(values['pixel_counts'], np.int64), num_images=index.num_examples,
        list_sha256=index.manifest['list_sha256'] if index.manifest and not recipe.data.limit else None,
        checkpoint=model.prefix, checkpoint_sha256=restore.fingerprint(model.prefix), global_step=model.step,
        gpus=tuple(device.name for device in tensorflow.config.list_physical_devices('GPU')),
        seconds=time.monotonic() - start, averaged=model.averaged,
        trimap={width: np.asarray(values[f'{metrics.TRIMAP}/{width}'], np.int64) for width in recipe.evaluation.trimap})


def num_images(run: Run) -> int:
    """Images that the recipe evaluates."""
    return inputs.index_evaluation(run).num_examples

"""Evaluates a trained model on a split under the protocol of its recipe, from exact confusion matrices."""

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from console.progress import Progress, say
from datasets.input_fn import RecordIndex
from datasets.records import manifest
from deeplab import metrics
from deeplab.compat import tensorflow, tf
from deeplab.recipes import beside
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports import scope
from deeplab.reports.measurement import Measurement
from deeplab.reports.scope import Scope
from deeplab.run import Run
from deeplab.trained import checkpointed
from deeplab.trained.checkpointed import Trained
from deeplab.training import corrupt, eval_hooks, inputs, trained_on
from pretrained import restore


def evaluate(model: Trained, model_dir: Path | None = None, pictures: Path | None = None) -> Measurement:
    """Runs the recipe's evaluation split through the recipe's protocol; first says which weights, images and protocol.

    With a model_dir, scores and pictures go to TensorBoard, into the folder of `events`; `pictures` is a folder for
    image | truth | prediction of the first images, as PNGs.

    Raises:
      ValueError: the records are missing, empty or damaged.
    """
    run = model.run
    recipe = run.recipe
    index = inputs.index_evaluation(run)
    evaluated = scope.of(recipe, run.dataset, index)
    print(f'{model}: {evaluated}', flush=True)
    if evaluated.warning:
        say(f'warning: {evaluated.warning}')
    events_dir = events(model, model_dir)
    names = eval_hooks.Names()
    watching: list[tf.train.SessionRunHook] = [names, eval_hooks.ShowProgress(
        lambda: Progress(index.num_examples, f'evaluating {recipe.data.eval_split}'))]
    if events_dir is not None:
        watching.append(eval_hooks.PicturesToTensorBoard(events_dir, recipe.train.eval_images,
                                                         run.dataset.class_names))
    if pictures is not None:
        watching.append(eval_hooks.PicturesToFolder(pictures, recipe.train.eval_images))
    start = time.monotonic()
    with checkpointed.folder_for_events(events_dir and events_dir.parent) as folder, corrupt.listed(index):
        values = model.make_estimator(folder).evaluate(
            inputs.eval_input(run, index), hooks=watching, checkpoint_path=model.prefix,
            name=events_dir and events_dir.name.removeprefix('eval_'))
    return Measurement(
        recipe=recipe, dataset=run.dataset,
        confusion_matrix=np.asarray(values['pixel_counts'], np.int64), num_images=index.num_examples,
        split_images=evaluated.split_images, list_sha256=_list_hash(index, names.found),
        checkpoint=model.prefix, checkpoint_sha256=restore.fingerprint(model.prefix), global_step=model.step,
        gpus=tuple(device.name for device in tensorflow.config.list_physical_devices('GPU')),
        seconds=time.monotonic() - start, averaged=model.averaged,
        trained=_trained_by(model.prefix), training_data=trained_on.of(model.prefix, model.step),
        trimap={width: np.asarray(values[f'{metrics.TRIMAP}/{width}'], np.int64) for width in recipe.evaluation.trimap})


def events(model: Trained, model_dir: Path | None) -> Path | None:
    """The folder of TensorBoard's events: one for a split and a protocol, so that curves are of one alone.

    None without a model_dir, and for weights of elsewhere, which are no point of its curves.
    """
    if model_dir is None:
        return None
    folder = Path(model.prefix).resolve().parent
    if model_dir.resolve() not in (folder, beside.model_dir_of(folder)):
        return None
    recorded = model_dir / beside.RECORD
    trained_on = recipes.read_json(recorded).data.dataset if recorded.exists() else model.run.recipe.data.dataset
    parts = [] if trained_on == model.run.recipe.data.dataset else [model.run.dataset.name]
    parts += [scope.folder(model.run.recipe), *([f'mean{len(model.averaged)}'] if model.averaged else [])]
    return model_dir / f'eval_{"_".join(parts)}'


def _trained_by(prefix: str) -> Recipe | None:
    """The recipe that the run of a checkpoint recorded."""
    recorded = beside.find(prefix)
    return recipes.read_json(recorded) if recorded else None


def _list_hash(index: RecordIndex, names: Sequence[str]) -> str | None:
    """Of the images that were evaluated; nobody knows those of records without a manifest, which may have no names."""
    if not index.manifest:
        return None
    return manifest.list_hash(names) if index.left_out else index.manifest['list_sha256']


def scope_of(run: Run) -> Scope:
    """What the recipe evaluates; ValueError where the records are missing, empty or damaged."""
    return scope.of(run.recipe, run.dataset, inputs.index_evaluation(run))

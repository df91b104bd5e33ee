"""What an evaluation measured: its table, its JSON, and whether it is the number that the recipe promises.

Numbers in a result are percent, as papers print them.
"""

import datetime
import importlib.metadata
import json
import math
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from console import checkout
from console.files import write_whole
from datasets.row import Dataset
from deeplab import __version__, metrics
from deeplab.compat import tensorflow
from deeplab.recipes import beside, protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports import status
from deeplab.reports.differences import in_steps, of_training, other_conditions
from deeplab.reports.results import shipped
from deeplab.reports.scope import Scope, images
from pretrained import catalog

ONE_CLASS = 0.99  # a larger share of the predictions in one class is worth a warning


@dataclass(frozen=True)
class Measurement:
    """One evaluation; `confusion_matrix` is int64 [C,C], rows the truth, and `trimap` has one for each width.

    `list_sha256` is of the names of the images that were evaluated, `split_images` counts those of the whole split,
    `averaged` names the checkpoints whose mean was evaluated, if it was one; `trained` and `training_data` are by what
    recipe and on what its run was trained, as it recorded them.
    """

    recipe: Recipe
    dataset: Dataset
    confusion_matrix: np.ndarray
    num_images: int
    split_images: int
    list_sha256: str | None
    checkpoint: str
    checkpoint_sha256: str
    global_step: int | None
    gpus: tuple[str, ...]
    seconds: float
    trimap: Mapping[int, np.ndarray] = field(default_factory=dict)
    averaged: tuple[str, ...] = ()
    trained: Recipe | None = None
    training_data: tuple[Mapping[str, Any], ...] = ()

    @cached_property
    def scores(self) -> metrics.Scores:
        return metrics.scores(self.confusion_matrix, self.recipe.evaluation.absent)

    @property
    def scope(self) -> Scope:
        return Scope(self.recipe, self.dataset, self.num_images, self.split_images)

    @property
    def truth_share(self) -> np.ndarray:
        return self.confusion_matrix.sum(1) / self.confusion_matrix.sum()

    @property
    def predicted_share(self) -> np.ndarray:
        return self.confusion_matrix.sum(0) / self.confusion_matrix.sum()

    @property
    def name(self) -> str:
        """A file name without its suffix: recipe, split, and the step or the begin of the checkpoint's hash."""
        which = self.checkpoint_sha256[:8] if self.global_step is None else self.global_step
        return re.sub(r'[^\w.-]+', '_', f'{self.recipe.name}-{self.recipe.data.eval_split}-{which}')


def table(measured: Measurement) -> str:
    """Per-class IoU and pixel shares, then the scores, as text."""
    titles = {title: measured.scores.of[name] for name, (title, _) in metrics.METRICS.items()}
    width = max(map(len, (*measured.dataset.class_names, *titles)))
    lines = [f'{"class":<{width}}  {"IoU %":>7}  {"pixels %":>8}  {"predicted %":>11}']
    for name, iou, truth, predicted in zip(measured.dataset.class_names, measured.scores.per_class_iou,
                                           measured.truth_share, measured.predicted_share, strict=True):
        shown = '-' if math.isnan(iou) else f'{100 * iou:.2f}'
        lines.append(f'{name:<{width}}  {shown:>7}  {100 * truth:>8.2f}  {100 * predicted:>11.2f}')
    lines += [f'{title:<{width}}  {100 * score:>7.2f}' for title, score in titles.items()]
    return '\n'.join(lines)


def warnings(measured: Measurement) -> Iterator[str]:
    """What makes the scores no figure of the split, or usually means that model or labels are wrong."""
    if measured.scope.warning:
        yield measured.scope.warning
    for name, iou, truth, predicted in zip(measured.dataset.class_names, measured.scores.per_class_iou,
                                           measured.truth_share, measured.predicted_share, strict=True):
        if iou == 0:
            why = 'is predicted but not in the truth' if truth == 0 else 'is never right'
            yield f'class {name} has IoU 0: it {why}'
        if predicted > ONE_CLASS:
            yield f'{100 * predicted:.2f} % of the predictions are {name}'


def line(measured: Measurement) -> str:
    """The scores on one line."""
    return (f'mean IoU {100 * measured.scores.of["mean_iou"]:.2f}, pixel accuracy '
            f'{100 * measured.scores.of["pixel_accuracy"]:.2f} on {images(measured.num_images, measured.split_images)}')


def require_expected(recipe: Recipe, num_images: int) -> status.Figure:
    """The figure to check against, the recipe's or of a reference run; ValueError unless it is of so many images."""
    figure = status.figure(recipe, ()) or status.figure(recipes.table().get(recipe.name, recipe), shipped())
    if figure is None:
        raise ValueError(f'recipe {recipe.name} has no expected.mean_iou to check against, and results/ no run of it')
    wanted = recipe.expected.num_images
    if wanted not in (None, num_images):
        raise ValueError(f'recipe {recipe.name} expects {figure.mean_iou:g} on {wanted} images; split '
                         f"{recipe.data.eval_split} has {num_images}: they can't be compared")
    return figure


def require_conditions(evaluated: Scope, row: Recipe) -> None:
    """ValueError where a row's figure is of other images or of another protocol than an evaluation."""
    data = {'dataset': evaluated.dataset.name, 'split': evaluated.recipe.data.eval_split,
            'num_images': evaluated.num_images, 'split_images': evaluated.split_images}
    other = other_conditions(data, protocol.describe(evaluated.recipe), row)
    if other:
        raise ValueError(f"the figure of {row.name} can't be checked:\n  " + '\n  '.join(other) +
                         '\nGive the figure for these conditions as --expected.mean_iou.')


def check(measured: Measurement) -> tuple[bool, list[str]]:
    """Compares with the expected figures: whether none is lower than the tolerance allows, and a line for each."""
    figure = require_expected(measured.recipe, measured.num_images)
    word = f'run {figure.run}' if figure.run else 'expected'
    passed, lines = True, []
    for name in ('mean_iou', 'pixel_accuracy'):
        found, wanted = 100 * measured.scores.of[name], getattr(figure, name)
        if wanted is not None:
            enough = found >= wanted - figure.tolerance
            passed = passed and enough
            lines.append(f'check {name}: measured {found:.4f}, {word} {wanted:.6g}, at most {figure.tolerance} '
                         f'less ({figure.tolerance_source}): {"ok" if enough else "LOWER"}')
    return passed, lines


def to_dict(measured: Measurement) -> dict[str, Any]:
    """The result as it is written."""
    found = measured.scores
    return {
        'name': measured.name,
        'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
        'scores': {'unit': 'percent', **{name: 100 * score for name, score in found.of.items()}},
        'per_class_iou': {name: None if math.isnan(iou) else 100 * iou for name, iou in
                          zip(measured.dataset.class_names, found.per_class_iou, strict=True)},
        'categories': _categories(measured),
        'trimap': _trimap(measured),
        'data': {'dataset': measured.dataset.name, 'split': measured.recipe.data.eval_split,
                 'num_images': measured.num_images, 'split_images': measured.split_images,
                 'list_sha256': measured.list_sha256,
                 'ignore_label': measured.dataset.ignore_label},
        'protocol': protocol.describe(measured.recipe),
        'checkpoint': {'path': portable(measured.checkpoint), 'sha256': measured.checkpoint_sha256,
                       'global_step': measured.global_step, 'mean_of': list(measured.averaged)},
        'training': _training(measured),
        'seconds': round(measured.seconds, 1),
        'git': checkout.git(),
        'versions': {'deeplab': __version__, 'python': platform.python_version(), 'tensorflow': tensorflow.__version__,
                     'tf-slim': importlib.metadata.version('tf-slim'), 'numpy': np.__version__,
                     'pillow': PIL.__version__},
        'hardware': {'cpu': _cpu_model(), 'cores': os.cpu_count(), 'gpus': list(measured.gpus)},
        'recipe': recipes.to_dict(_portable(measured.recipe)),
        'confusion_matrix': measured.confusion_matrix.tolist(),
    }


def portable(path: str) -> str:
    """A path without what is of this machine: the folder and the file, as RUN/model.ckpt-7, or RUN/best/model.ckpt-7.

    `catalog:NAME` stays, and a fetched checkpoint's folder has its catalog name. The hash says which weights they were.
    """
    if not path or path.startswith(catalog.PREFIX):
        return path
    *_, run, folder, name = ('', '', *Path(os.path.abspath(path)).parts[1:])
    return '/'.join(filter(None, (run if folder.partition('.')[0] in beside.OF_A_RUN else '', folder, name)))


def _portable(recipe: Recipe) -> Recipe:
    """The recipe with its paths as `portable` has them."""
    paths = ('data.record_dir', 'init.checkpoint')
    changed = {path: portable(recipes.get(recipe, path)) for path in paths}
    return recipes.override(recipe, changed | {'data.dataset': Path(recipe.data.dataset).name})


def _categories(measured: Measurement) -> dict[str, Any] | None:
    """IoU of the dataset's categories, where its row has them: Cityscapes' "IoU category"."""
    names = measured.dataset.categories
    if not names:
        return None
    groups = tuple(dict.fromkeys(names))
    matrix = metrics.joined(measured.confusion_matrix, tuple(groups.index(name) for name in names))
    found = metrics.scores(matrix, measured.recipe.evaluation.absent)
    return {'mean_iou': 100 * found.of['mean_iou'],
            'iou': {name: None if math.isnan(iou) else 100 * iou
                    for name, iou in zip(groups, found.per_class_iou, strict=True)}}


def _trimap(measured: Measurement) -> dict[str, Any] | None:
    """Scores of the pixels near boundaries alone, by width in pixels."""
    if not measured.trimap:
        return None
    evaluation = measured.recipe.evaluation
    found = {width: metrics.scores(matrix, evaluation.absent) if matrix.any() else None
             for width, matrix in measured.trimap.items()}
    return {'around': evaluation.trimap_around, 'widths': {
        str(width): {'pixels': int(measured.trimap[width].sum()), 'mean_iou': 100 * scores.of['mean_iou'],
                     'pixel_accuracy': 100 * scores.of['pixel_accuracy']} if scores else {'pixels': 0}
        for width, scores in found.items()}}


def _training(measured: Measurement) -> dict[str, Any]:
    """How far the weights were trained, and in what the run differs from the row of its name."""
    row, run = recipes.table().get(measured.recipe.name), measured.trained or measured.recipe
    row = in_steps(row) if row else None
    return {'steps': measured.global_step, 'recipe_steps': row.train.max_steps if row else None,
            'differs_from_recipe': of_training(row, run) if row else [],
            'recipe': _otherwise(_portable(run), _portable(measured.recipe)),
            'data': [{name: value for name, value in data.items() if name != 'shards'}  # which are of the machine
                     for data in measured.training_data]}


def _otherwise(run: Recipe, evaluated: Recipe) -> dict[str, Any]:
    """What decided the weights, by path, where it isn't in the recipe of their evaluation."""
    values = {path: recipes.get(run, path) for path, field in recipes.fields().items()
              if path == 'init.checkpoint' or not field.metadata['free']}
    return {path: value for path, value in values.items() if value != recipes.get(evaluated, path)}


def _cpu_model() -> str:
    if sys.platform == 'linux':
        named = re.search(r'^model name\s*: (.*)$', Path('/proc/cpuinfo').read_text(encoding='utf8'), re.MULTILINE)
        if named:
            return named[1]
    return platform.processor() or platform.machine()


def write(measured: Measurement, path: Path) -> Path:
    """Writes the JSON; where `path` exists a number is added, because no result is overwritten."""
    free = next(p for p in _numbered(path) if not p.exists())
    write_whole(free, _dump(to_dict(measured)))
    return free


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    number = 2
    while True:
        yield path.with_name(f'{path.stem}-{number}{path.suffix}')
        number += 1


def _dump(record: dict[str, Any]) -> str:
    """Indented JSON with a line per row of the confusion matrix."""
    rows = record['confusion_matrix']
    text = json.dumps(record | {'confusion_matrix': []}, indent=2)
    matrix = ',\n'.join(f'    {json.dumps(row)}' for row in rows)
    return text.replace('"confusion_matrix": []', f'"confusion_matrix": [\n{matrix}\n  ]') + '\n'

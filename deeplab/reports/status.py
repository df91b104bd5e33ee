"""What was shown here of a row, found in recordings and results and never typed. Imports no TensorFlow."""

import functools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports.differences import comparable, in_steps, of_training, same_weights, trained
from pretrained import catalog

STATUSES = {
    'built': 'the tests of every row pass',
    'checked': 'its model gives the outputs that were recorded from the original code',
    'measured': 'released weights were scored by its protocol, on the images of its figure',
    'reproduced': 'trained here by its own recipe, and inside the tolerance of a published figure'}
# {row: recording in tests/oracle}, which tests/contracts/test_checked.py compares with the recordings.
CHECKED = Path(__file__).with_name('checked.json')


class Figure(NamedTuple):
    """What a row's score is compared with, in percent; not `published`: a reference run, whose result is `run`."""

    mean_iou: float
    pixel_accuracy: float | None
    tolerance: float
    tolerance_source: str
    source: str
    published: bool
    run: str = ''

    @property
    def lowest(self) -> float:
        """A higher score is never a failure."""
        return self.mean_iou - self.tolerance


def of(row: Recipe, results: Iterable[Mapping[str, Any]]) -> str:
    """The best of STATUSES that the results, or else the recordings, show of a row."""
    row = in_steps(row)
    own = [result for result in results if result['recipe']['name'] == row.name and _comparable(result, row)]
    if any(_reproduces(result, row) for result in own):
        return 'reproduced'
    if any(_with_released_weights(result, row) for result in own):
        return 'measured'
    return 'checked' if row.name in checked() else 'built'


def figure(row: Recipe, results: Iterable[Mapping[str, Any]]) -> Figure | None:
    """The figure that the row gives, or else that of a run of its own recipe among the results, or None."""
    expected = row.expected
    tolerance = expected.tolerance, expected.tolerance_source
    if expected.mean_iou is not None:
        source = expected.source + ('' if expected.verified else ' (not verified)')
        return Figure(expected.mean_iou, expected.pixel_accuracy, *tolerance, source, expected.published)
    row = in_steps(row)
    for result in results:
        if result['recipe']['name'] == row.name and _comparable(result, row) and _trained_by(result, row):
            scores = result['scores']
            source = f'{result["name"]}.json, a run of this recipe here'
            return Figure(scores['mean_iou'], scores['pixel_accuracy'], *tolerance, source, False, result['name'])
    return None


@functools.cache
def checked() -> Mapping[str, str]:
    """The rows whose model was compared with outputs of the original code, and the name of the recording."""
    return json.loads(CHECKED.read_text(encoding='utf8'))


def _comparable(result: Mapping[str, Any], row: Recipe) -> bool:
    """Whether a result is of the row's images and protocol; float32 stands for any precision."""
    return comparable(result, row) and result['protocol']['precision'] in ('float32', row.train.precision)


def _with_released_weights(result: Mapping[str, Any], row: Recipe) -> bool:
    """Whether the checkpoint is one of the catalog's, by its path in the result, and the model the row's."""
    checkpoint = result['checkpoint']
    released = checkpoint['path'].startswith(catalog.PREFIX) or checkpoint['path'].partition('/')[0] in _folders()
    changed = recipes.difference(row, recipes.recorded(result['recipe']))
    return released and not checkpoint['global_step'] and not any(line.startswith('model.') for line in changed)


@functools.cache
def _folders() -> frozenset[str]:
    """The folders that released checkpoints are in: in their archives, and where pretrained.fetch puts them."""
    entries = catalog.load()
    return frozenset(entries) | {Path(entry.checkpoint).parent.name for entry in entries.values()} - {''}


def _trained_by(result: Mapping[str, Any], row: Recipe) -> bool:
    """Whether weights are of the last step of the row's recipe, with nothing changed, and began as it does."""
    run, checkpoint = trained(result), result['checkpoint']
    whole = 0 < row.train.max_steps == checkpoint['global_step'] and not checkpoint['mean_of']
    return whole and not of_training(row, run) and same_weights(row.init.checkpoint, run.init.checkpoint)


def _reproduces(result: Mapping[str, Any], row: Recipe) -> bool:
    wanted = figure(row, ())
    return wanted is not None and wanted.published and result['scores']['mean_iou'] >= wanted.lowest \
        and _trained_by(result, row)

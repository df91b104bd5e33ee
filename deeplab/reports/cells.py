"""What the table and the page show of a result: each cell is worded here. Imports no TensorFlow."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from deeplab.recipes import protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports import differences
from deeplab.reports import status as statuses
from deeplab.reports.scope import images


class Cells(NamedTuple):
    """One result."""

    recipe: str
    status: str
    data: str
    protocol: str
    published: str
    reference: str
    measured: str
    pixel_accuracy: str
    steps: str
    commit: str


def cells(result: Mapping[str, Any], known: Mapping[str, Recipe], results: Collection[Mapping[str, Any]]) -> Cells:
    """The cells of a result as evaluate.py wrote it; `known` are the recipes by name.

    `results` are all that a status and a reference run are looked for in.
    """
    name = result['recipe']['name']
    row = row_of(result, known)
    figure = statuses.figure(row, results)
    return Cells(
        recipe=name,
        status=statuses.of(row, results) if name in known else '',
        data=_data(result['data']),
        protocol=protocol.text(result['protocol']),
        published=_shown(result, row, figure) if figure and figure.published else '',
        reference=_shown(result, row, figure) if figure and not figure.published else '',
        measured=f'{result["scores"]["mean_iou"]:.2f}',
        pixel_accuracy=f'{result["scores"]["pixel_accuracy"]:.2f}',
        steps=_steps(result, row),
        commit=(result['git']['commit'] or '')[:7] + ('+' if result['git']['dirty'] else ''))


def row_of(result: Mapping[str, Any], known: Mapping[str, Recipe]) -> Recipe:
    """The row of the result's name as it is now, which says what was shown of it, or the recipe inside the result."""
    row = known.get(result['recipe']['name'])
    return differences.in_steps(row) if row else recipes.recorded(result['recipe'])


def _data(data: Mapping[str, Any]) -> str:
    return f'{data["dataset"]} {data["split"]}, {images(data["num_images"], data["split_images"])}'


def _shown(result: Mapping[str, Any], row: Recipe, figure: statuses.Figure) -> str:
    """A figure, and where it isn't of the same images and protocol of which it is."""
    if figure.run == result['name']:
        return 'this run'
    where = [] if differences.same_images(result, row) else [f'on {_images_of(result, row)}']
    other = differences.other_protocol(result['protocol'], row).keys() - {'first_images'}  # which are the images
    where += [f'at {protocol.of_figure(row)}'] if other else []
    return ' '.join([f'{figure.mean_iou:.2f}', *[', '.join(where)] * bool(where)])


def _images_of(result: Mapping[str, Any], row: Recipe) -> str:
    """Which images the row's figure is of, as far as they aren't the result's."""
    dataset, split = differences.dataset_of(row), row.data.eval_split
    if dataset != result['data']['dataset']:
        return f'{dataset} {split}'
    if split != result['data']['split']:
        return split
    return f'{row.expected.num_images or protocol.describe(row)["first_images"] or "all"} images'


def _steps(result: Mapping[str, Any], row: Recipe) -> str:
    step, wanted = result['checkpoint']['global_step'], row.train.max_steps
    if not step:
        return 'released weights'
    return f'{step} of {wanted} steps' if wanted not in (0, step) else f'{step} steps'

"""Why is mine lower? The differences between a published row and a run, the likeliest causes first."""

from collections.abc import Iterator, Mapping
from typing import Any

from datasets import row as rows
from deeplab.recipes import epochs, protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import SMALLEST_BATCH_NORM_BATCH, Recipe

RARE = 10.0  # percent IoU below which a class is worth naming
UNEXPLAINED = 'nothing in the recipe differs: another seed, another machine, or an error here or there'


def reasons(result: Mapping[str, Any], row: Recipe | None = None) -> list[str]:
    """What differs between a result JSON and the row of its name (by default the recipe inside it), a line each.

    Empty where the result isn't below what the row expects.
    """
    run = recipes.recorded(result['recipe'])
    row = row or run
    expected = row.expected.mean_iou
    if expected is None or result['scores']['mean_iou'] >= expected - row.expected.tolerance:
        return []
    found = [*_training(result, run, row), *_data(result, row), *_protocol(result, row), *_precision(result)]
    return [*(found or [UNEXPLAINED]), *_classes(result)]


def same_images(result: Mapping[str, Any], row: Recipe) -> bool:
    """Whether a result and the row's figure are of the same split, as far as names and counts say."""
    data = result['data']
    return (data['dataset'], data['split']) == (row.data.dataset, row.data.eval_split) \
        and row.expected.num_images in (None, data['num_images'])


def in_steps(row: Recipe) -> Recipe:
    """The row as its runs record it: epochs as steps, where its dataset says how many images its split has."""
    split = rows.load(row.data.dataset).splits.get(row.data.train_split)
    if not split or not split.num_images:
        return row
    return epochs.in_steps(row, split.num_images, row.train.batch_size * row.train.accumulate_steps)


def _training(result: Mapping[str, Any], run: Recipe, row: Recipe) -> Iterator[str]:
    step = result['checkpoint']['global_step']
    changes = [line for line in recipes.difference(row, run)
               if not line.startswith(('train.max_steps', 'loss.label_weights'))]
    if not step:  # released weights: their training isn't this recipe's
        yield from (f'the model was changed: {line}' for line in changes if line.startswith('model.'))
        return
    if step < row.train.max_steps:
        yield f'{step} of {row.train.max_steps} steps were run'
    if row.init.checkpoint and run.init.checkpoint != row.init.checkpoint:
        yield (f'training began from {run.init.checkpoint or "random weights"}, the row begins from '
               f'{row.init.checkpoint}')
    if run.batch_norm.mode == 'train' and run.train.batch_size < min(row.train.batch_size, SMALLEST_BATCH_NORM_BATCH):
        yield (f'batch norm was trained on {run.train.batch_size} images per replica; below '
               f'{SMALLEST_BATCH_NORM_BATCH} its statistics are poor')
    yield from (f'the recipe was changed: {line}' for line in changes)


def _data(result: Mapping[str, Any], row: Recipe) -> Iterator[str]:
    data = result['data']
    if data['dataset'] != row.data.dataset or data['split'] != row.data.eval_split:
        yield (f'evaluated on {data["dataset"]} {data["split"]}; the figure is of {row.data.dataset} '
               f'{row.data.eval_split}')
    if row.expected.num_images not in (None, data['num_images']):
        yield f'{data["num_images"]} images were evaluated; the figure is of {row.expected.num_images}'
    if data['list_sha256'] is None:
        yield 'the records have no manifest, so nobody knows which images they are'


def _protocol(result: Mapping[str, Any], row: Recipe) -> Iterator[str]:
    found = result['protocol']
    for name, value in protocol.describe(row).items():
        # Older results don't say everything; a figure's precision isn't that of the row's training.
        if name != 'precision' and found.get(name, value) != value:
            yield f'evaluated with {name} {found[name]}; the row says {value}'


def _precision(result: Mapping[str, Any]) -> Iterator[str]:
    precision = result['protocol']['precision']
    if precision != 'float32':
        yield f'evaluated in {precision}, which moves the mean IoU by some tenths'


def _classes(result: Mapping[str, Any]) -> Iterator[str]:
    """The classes that cost most."""
    counts = [sum(line) for line in result['confusion_matrix']]
    for (name, iou), count in zip(result['per_class_iou'].items(), counts, strict=True):
        if iou is not None and iou < RARE:
            share = 100 * count / max(1, sum(counts))
            yield f'class {name} has {iou:.1f} % IoU; it covers {share:.2f} % of the labelled pixels'

"""Why is mine lower? The differences between a published row and a run, the likeliest causes first."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from datasets import row as rows
from deeplab.recipes import epochs, protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import SMALLEST_BATCH_NORM_BATCH, Recipe
from deeplab.reports.scope import images
from pretrained import catalog

RARE = 10.0  # percent IoU below which a class is worth naming
UNEXPLAINED = 'nothing in the recipe differs: another seed, another machine, or an error here or there'


def reasons(result: Mapping[str, Any], row: Recipe | None = None, lowest: float | None = None) -> list[str]:
    """What differs between a result JSON and the row of its name (by default the recipe inside it), a line each.

    Empty where the result isn't below the lowest figure that is enough, by default what the row expects.
    """
    row = row or recipes.recorded(result['recipe'])
    if lowest is None and row.expected.mean_iou is not None:
        lowest = row.expected.mean_iou - row.expected.tolerance
    if lowest is None or result['scores']['mean_iou'] >= lowest:
        return []
    found = [*_training(result, trained(result), row), *_data(result, row), *_protocol(result['protocol'], row),
             *_precision(result)]
    return [*(found or [UNEXPLAINED]), *_classes(result)]


def same_images(result: Mapping[str, Any], row: Recipe) -> bool:
    """Whether a result and the row's figure are of the same images, as far as names and counts say."""
    return not any(_images(result['data'], row))


def comparable(result: Mapping[str, Any], row: Recipe) -> bool:
    """Whether the difference of a result and the row's figure means something: same images, same protocol."""
    return not other_conditions(result['data'], result['protocol'], row)


def other_conditions(data: Mapping[str, Any], described: Mapping[str, Any], row: Recipe) -> list[str]:
    """What keeps an evaluation from being compared with the row's figure, a line each.

    `data` and `described` are a result's data and protocol, or what they are going to be.
    """
    return [*_images(data, row), *_protocol(described, row)]


def same_weights(wanted: str, found: str) -> bool:
    """Whether two of init.checkpoint are the same; a fetched checkpoint's folder has its name in the catalog."""
    return wanted == found or wanted.startswith(catalog.PREFIX) and \
        wanted.removeprefix(catalog.PREFIX) in Path(found).parts


def in_steps(row: Recipe) -> Recipe:
    """The row as its runs record it: epochs as steps, where its dataset says how many images its split has."""
    split = rows.load(row.data.dataset).splits.get(row.data.train_split)
    if not split or not split.num_images:
        return row
    return epochs.in_steps(row, split.num_images, row.train.batch_size * row.train.accumulate_steps)


def of_training(row: Recipe, run: Recipe) -> list[str]:
    """The fields that decide the weights and that a run chose otherwise than the row, a line each."""
    followed = []
    if row.loss.class_weights != 'none':  # what the rule made of the data isn't a choice
        followed.append('loss.label_weights')
    if row.train.kernels == 'auto':  # nor is which of them the machine had
        followed.append('train.kernels')
    return [line for line in recipes.difference(row, run) if not line.startswith(tuple(followed))]


def trained(result: Mapping[str, Any]) -> Recipe:
    """The recipe that a result's weights were trained by, which evaluation may have changed: precision, for one."""
    return recipes.override(recipes.recorded(result['recipe']), result.get('training', {}).get('recipe', {}))


def _training(result: Mapping[str, Any], run: Recipe, row: Recipe) -> Iterator[str]:
    step = result['checkpoint']['global_step']
    changes = [line for line in of_training(row, run) if not line.startswith('train.max_steps')]
    if not step:  # released weights: their training isn't this recipe's
        yield from (f'the model was changed: {line}' for line in changes if line.startswith('model.'))
        return
    if step < row.train.max_steps:
        yield f'{step} of {row.train.max_steps} steps were run'
    if row.init.checkpoint and not same_weights(row.init.checkpoint, run.init.checkpoint):
        yield (f'training began from {run.init.checkpoint or "random weights"}, the row begins from '
               f'{row.init.checkpoint}')
    if run.batch_norm.mode == 'train' and run.train.batch_size < min(row.train.batch_size, SMALLEST_BATCH_NORM_BATCH):
        yield (f'batch norm was trained on {run.train.batch_size} images per replica; below '
               f'{SMALLEST_BATCH_NORM_BATCH} its statistics are poor')
    yield from (f'the recipe was changed: {line}' for line in changes)


def _data(result: Mapping[str, Any], row: Recipe) -> Iterator[str]:
    yield from _images(result['data'], row)
    if result['data']['list_sha256'] is None:
        yield 'the records have no manifest, so nobody knows which images they are'


def _images(data: Mapping[str, Any], row: Recipe) -> Iterator[str]:
    dataset, split = dataset_of(row), row.data.eval_split
    if (data['dataset'], data['split']) != (dataset, split):
        yield f'evaluated on {data["dataset"]} {data["split"]}; the figure is of {dataset} {split}'
    whole = data['split_images']
    told = row.expected.num_images or protocol.describe(row)['first_images']
    if data['num_images'] != (told or whole):
        yield f'{images(data["num_images"], whole)} were evaluated; the figure is of {told or "all"}'


def _protocol(found: Mapping[str, Any], row: Recipe) -> Iterator[str]:
    for name, value in other_protocol(found, row).items():
        yield f'evaluated with {name} {found[name]}; the row says {value}'


def dataset_of(row: Recipe) -> str:
    """The name of the row's dataset, which one's own is given by the path of its table."""
    return Path(row.data.dataset).stem


def other_protocol(found: Mapping[str, Any], row: Recipe) -> dict[str, Any]:
    """What the row's protocol says of that in which a result's differs."""
    # Older results don't say everything; a figure's precision isn't that of the row's training.
    return {name: value for name, value in protocol.describe(row).items()
            if name != 'precision' and found.get(name, value) != value}


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

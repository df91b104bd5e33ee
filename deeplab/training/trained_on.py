"""What a run is trained on: which records, and how many of them a step. Kept in model_dir, compared at a restart."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from console.files import write_whole
from console.progress import say
from datasets.input_fn import RecordIndex
from deeplab.recipes import beside
from deeplab.run import Run
from deeplab.training.model_dir import latest_step

RECORD = 'training_data.json'
LISTED = 4  # shards in an error
# What tells records from others, whatever their folder and the number of their shards: the list's hash goes by the
# names in their order, from which that of training follows, and the pixels go by the labels.
OF_MANIFEST = ('list_sha256', 'class_pixels', 'ignored_pixels')


def describe(run: Run, index: RecordIndex, replicas: int) -> dict[str, Any]:
    """The training data as a run records them; without a manifest, bytes and records of each shard stand for them."""
    written = index.manifest or {}
    return {'dataset': run.dataset.name, 'split': run.recipe.data.train_split, 'num_examples': index.num_examples,
            **{name: written.get(name) for name in OF_MANIFEST},
            'shards': [[Path(file).stat().st_size, len(offsets)]
                       for file, offsets in zip(index.files, index.offsets, strict=True)],
            'replicas': replicas, 'images_per_step': run.images_per_step * replicas}


def refuse_others(model_dir: Path, data: Mapping[str, Any], allow_change: bool) -> None:
    """ValueError where the run in model_dir was trained on other data; lists what differs."""
    before = _read(model_dir)
    changes = list(_difference(before[-1], data)) if before else []
    if changes and not allow_change:
        raise ValueError(
            f'{model_dir} was trained on other data:\n  ' + '\n  '.join(changes) + '\nGive the records that it began '
            'with, on as many replicas: their folder and the number of their shards may be others. Or use another '
            '--model_dir, or --allow_recipe_change to go on with these.')
    if changes:
        say('training data changed: ' + '; '.join(changes))


def keep(model_dir: Path, data: Mapping[str, Any]) -> None:
    """Records the data that training goes on with, behind those of earlier steps."""
    before, step = _read(model_dir), latest_step(model_dir)
    if before and not list(_difference(before[-1], data)):
        return
    kept = [each for each in before if each['from_step'] < step]
    if step and not kept:
        say(f'{model_dir} does not tell what it was trained on until step {step}')
    write_whole(model_dir / RECORD, json.dumps([*kept, {'from_step': step, **data}], indent=1) + '\n')


def of(prefix: str, step: int | None) -> tuple[dict[str, Any], ...]:
    """What the checkpoint of a run was trained on, each from its `from_step`; empty where that isn't known."""
    known = _read(beside.model_dir_of(Path(prefix).absolute().parent))
    return tuple(each for each in known if step is not None and each['from_step'] < step)


def _read(model_dir: Path) -> list[dict[str, Any]]:
    path = model_dir / RECORD
    return json.loads(path.read_text(encoding='utf8')) if path.exists() else []


def _difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    listed = old['list_sha256'] and new['list_sha256']
    for name in ('num_examples', *(OF_MANIFEST if listed else ('shards',)), 'replicas', 'images_per_step'):
        if old[name] != new[name]:
            yield f'{name}: {_told(name, old[name])} -> {_told(name, new[name])}'


def _told(name: str, value: Any) -> str:
    if name == 'shards':
        return ', '.join(f'{size} bytes of {count} records' for size, count in value[:LISTED]) + ', ...' * (
            len(value) > LISTED)
    return str(value)

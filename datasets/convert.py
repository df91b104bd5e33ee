"""Raw dataset -> TFRecord shards with a manifest: `python -m datasets.convert --help`."""

import argparse
import functools
import itertools
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets import images, labels, manifest, records, registry
from datasets.layouts import find_pairs, present_splits
from datasets.manifest import Pixels
from datasets.pairs import Pair, Problem
from datasets.parallel import ordered_map
from datasets.progress import Progress
from datasets.registry import Dataset

NUM_SHARDS = 4


def convert(dataset: Dataset, data_dir: str | Path, output_dir: str | Path, splits: Sequence[str] = (), *,
            num_shards: int = NUM_SHARDS, workers: int | None = None, overwrite: bool = False) -> dict[str, dict]:
    """Converts the splits (all that data_dir has, when none is named) and returns their manifests.

    Every file is checked before anything is written; one ValueError lists all that can't be converted. The bytes
    written depend on the data and num_shards only, not on the number of workers (default: one per core).
    """
    data_dir, output_dir = Path(data_dir), Path(output_dir)
    workers = workers or os.cpu_count() or 1
    # With none at all the first split goes on, to fail with what was looked for.
    splits = tuple(dict.fromkeys(splits)) or present_splits(dataset, data_dir) or tuple(dataset.splits)[:1]
    if not overwrite:
        _refuse_existing(output_dir, splits)
    pairs, pixels = _check_all(dataset, data_dir, splits, workers)
    output_dir.mkdir(parents=True, exist_ok=True)
    manifests = {}
    for split in splits:
        with tempfile.TemporaryDirectory(prefix='.convert-', dir=output_dir) as name:
            work = Path(name)
            shards = _write_shards(dataset, split, pairs[split], work, num_shards, workers)
            ids = [pair.id for pair in pairs[split]]
            manifests[split] = manifest.build(dataset, split, ids, pixels[split], shards)
            manifest.write(work / manifest.file_name(split), manifests[split])
            _publish(work, output_dir, split)
    return manifests


def _refuse_existing(output_dir: Path, splits: Sequence[str]) -> None:
    existing = [path for split in splits for path in _published(output_dir, split)]
    if existing:
        raise ValueError(f'{existing[0]} exists: give another --output_dir, or --overwrite to replace '
                         f'{", ".join(splits)} in this one')


def _published(output_dir: Path, split: str) -> list[Path]:
    path = output_dir / manifest.file_name(split)
    return [*records.find_shards(output_dir, split), *([path] if path.exists() else [])]


def _check_all(dataset: Dataset, data_dir: Path, splits: Sequence[str], workers: int
               ) -> tuple[dict[str, list[Pair]], dict[str, Pixels]]:
    pairs, pixels, problems = {}, {split: Pixels() for split in splits}, []
    for split in splits:
        pairs[split], found = find_pairs(dataset, data_dir, split)
        problems += found
    check = functools.partial(check_pair, dataset)
    for split in splits:
        for checked in _with_progress(f'checking {dataset.name} {split}', check, pairs[split], workers):
            if checked.problems:
                problems += checked.problems
            else:
                pixels[split].add(checked.size, checked.pixels)
    # Splits overlap (trainval holds train), and a file needs naming once.
    problems = list(dict.fromkeys(problems))
    if problems:
        listed = '\n  '.join(map(str, problems))
        raise ValueError(f'nothing was written: {len(problems)} problem(s) in the data\n  {listed}')
    return pairs, pixels


def _with_progress(label: str, function, pairs: list[Pair], workers: int) -> Iterable:
    with Progress(len(pairs), label) as progress:
        for result in ordered_map(function, pairs, workers):
            progress.update()
            yield result


class Checked(NamedTuple):
    """What is wrong with a pair, or its (height, width) and pixels per id (int64 [256])."""

    problems: tuple[Problem, ...]
    size: tuple[int, int] | None = None
    pixels: np.ndarray | None = None


def check_pair(dataset: Dataset, pair: Pair) -> Checked:
    """Decodes an image and its label in full."""
    problems, size, ids = [], None, None
    try:
        size = images.check(pair.image)
    except (ValueError, OSError) as error:
        problems.append(Problem(pair.image, _reason(error)))
    try:
        ids = labels.read(pair.label, dataset)
    except (ValueError, OSError) as error:
        problems.append(Problem(pair.label, _reason(error)))
    if problems:
        return Checked(tuple(problems))
    if ids.shape != size:
        (height, width), (rows, columns) = size, ids.shape
        reason = f'is {columns}x{rows} but its image {pair.image} is {width}x{height}'
        return Checked((Problem(pair.label, reason),))
    return Checked((), size, np.bincount(ids.ravel(), minlength=256))


def _reason(error: Exception) -> str:
    return 'missing' if isinstance(error, FileNotFoundError) else getattr(error, 'strerror', None) or str(error)


def read_pair(dataset: Dataset, pair: Pair) -> records.Record:
    """The record of a pair that has passed check_pair."""
    image, image_format, height, width = images.encoded_rgb(pair.image)
    ids = labels.read(pair.label, dataset)
    if ids.shape != (height, width):
        raise ValueError(f'{pair.label} or its image changed during the conversion')
    return records.Record(pair.id, image, image_format, height, width, labels.encode(ids))


def _write_shards(dataset: Dataset, split: str, pairs: list[Pair], work: Path, num_shards: int, workers: int
                  ) -> list[dict]:
    """Shards of nearly equal numbers of consecutive examples; returns their manifest entries."""
    num_shards = min(num_shards, len(pairs))
    bounds = [len(pairs) * shard // num_shards for shard in range(num_shards + 1)]
    read = functools.partial(read_pair, dataset)
    stream = iter(_with_progress(f'writing {dataset.name} {split}', read, pairs, workers))
    shards = []
    for shard in range(num_shards):
        path = work / records.shard_name(split, shard, num_shards)
        count = records.write_shard(path, itertools.islice(stream, bounds[shard + 1] - bounds[shard]))
        shards.append(manifest.shard_entry(path, count))
    next(stream, None)  # Lets the progress say that it's done.
    return shards


def _publish(work: Path, output_dir: Path, split: str) -> None:
    """Replaces the split's files by those in `work`; the manifest goes last, so that a cut in between is noticed."""
    new = sorted(work.iterdir(), key=lambda path: path.name == manifest.file_name(split))
    names = {path.name for path in new}
    for old in _published(output_dir, split):
        if old.name not in names:
            old.unlink()
    for path in new:
        os.replace(path, output_dir / path.name)


def main(arguments: Sequence[str] | None = None) -> int:
    # Read by TensorFlow's C++ runtime when the shards are written.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    options = _parser().parse_args(arguments)
    try:
        dataset = registry.load(options.dataset)
        manifests = convert(dataset, options.data_dir, options.output_dir, options.splits,
                            num_shards=options.num_shards, workers=options.workers, overwrite=options.overwrite)
    except (ValueError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    for split, written in manifests.items():
        _report(split, written, options.output_dir)
    return 0


def _report(split: str, written: dict, output_dir: str) -> None:
    name, count, published = written['dataset'], written['num_examples'], written['published_num_examples']
    if count != published:
        print(f'warning: {name} {split} has {count} examples, not the published {published}', file=sys.stderr)
    megabytes = sum(shard['bytes'] for shard in written['shards']) / 1e6
    print(f'{name} {split}: {count} examples, {len(written["shards"])} shards, {megabytes:.1f} MB in {output_dir}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m datasets.convert', description=__doc__.split(':')[0])
    parser.add_argument('--dataset', required=True, help=f'{", ".join(registry.names())}, or the path of a .toml row')
    parser.add_argument('--data_dir', required=True, help='the unpacked dataset')
    parser.add_argument('--output_dir', required=True, help='where the shards and manifests go')
    parser.add_argument('--splits', nargs='+', default=(), help='default: every split that data_dir has')
    parser.add_argument('--num_shards', type=positive, default=NUM_SHARDS, help='per split; default %(default)s')
    parser.add_argument('--workers', type=positive, help='processes; default one per core')
    parser.add_argument('--overwrite', action='store_true', help='replace what output_dir holds of these splits')
    return parser


def positive(text: str) -> int:
    """An argument type: an integer above 0."""
    if int(text) < 1:
        raise ValueError
    return int(text)


if __name__ == '__main__':
    # As an exception, so that temporary files and worker processes go as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())

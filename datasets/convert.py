"""Raw dataset -> TFRecord shards with a manifest: `python -m datasets.convert --help`."""

import argparse
import functools
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets import images, labels, records, registry
from datasets.layouts import Pair, Problem, find_pairs, present_splits
from datasets.parallel import ordered_map
from datasets.progress import Progress
from datasets.registry import Dataset

NUM_SHARDS = 4
TOOL = 'datasets.convert 1'


class Checked(NamedTuple):
    """What the first pass finds in a pair: problems, or size and pixels per id (int64 [256])."""

    problems: tuple[Problem, ...]
    height: int = 0
    width: int = 0
    pixels: np.ndarray | None = None


@dataclass
class Summary:
    """What the manifest tells about a split's pixels."""

    sizes: set[tuple[int, int]] = field(default_factory=set)
    pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, checked: Checked) -> None:
        self.sizes.add((checked.height, checked.width))
        self.pixels += checked.pixels


def convert(dataset: Dataset, data_dir: str | Path, output_dir: str | Path, splits: Sequence[str] = (), *,
            num_shards: int = NUM_SHARDS, workers: int | None = None, overwrite: bool = False) -> dict[str, dict]:
    """Converts the splits (all that data_dir has a list of, when none is named) and returns their manifests.

    Every file is checked before anything is written; one ValueError lists all that can't be converted. The bytes
    written depend on the data and num_shards only, not on the number of workers (default: one per core).
    """
    data_dir, output_dir = Path(data_dir), Path(output_dir)
    workers = workers or os.cpu_count() or 1
    splits = tuple(splits) or present_splits(dataset, data_dir) or tuple(dataset.splits)[:1]
    if not overwrite:
        _refuse_existing(output_dir, splits)
    pairs = _find_all(dataset, data_dir, splits)
    summaries = {split: Summary() for split in splits}
    _check_all(dataset, pairs, summaries, workers)
    output_dir.mkdir(parents=True, exist_ok=True)
    manifests = {}
    for split in splits:
        with tempfile.TemporaryDirectory(prefix='.convert-', dir=output_dir) as work:
            work = Path(work)
            manifests[split] = _write_split(dataset, split, pairs[split], summaries[split], work, num_shards, workers)
            _publish(work, output_dir, split)
    return manifests


def _refuse_existing(output_dir: Path, splits: Sequence[str]) -> None:
    existing = [str(path) for split in splits for path in _published(output_dir, split)]
    if existing:
        raise ValueError(f'{existing[0]} exists: give another --output_dir, or --overwrite to replace '
                         f'{", ".join(splits)} in this one')


def _published(output_dir: Path, split: str) -> list[Path]:
    manifest = output_dir / records.manifest_name(split)
    return [*records.find_shards(output_dir, split), *([manifest] if manifest.exists() else [])]


def _find_all(dataset: Dataset, data_dir: Path, splits: Sequence[str]) -> dict[str, list[Pair]]:
    pairs, problems = {}, []
    for split in splits:
        pairs[split], found = find_pairs(dataset, data_dir, split)
        problems += found
    _raise(problems)
    return pairs


def _check_all(dataset: Dataset, pairs: dict[str, list[Pair]], summaries: dict[str, Summary], workers: int) -> None:
    problems = []
    for split, summary in summaries.items():
        with Progress(len(pairs[split]), f'checking {dataset.name} {split}') as progress:
            for checked in ordered_map(functools.partial(check_pair, dataset), pairs[split], workers):
                if checked.problems:
                    problems += checked.problems
                else:
                    summary.add(checked)
                progress.update()
    # Splits overlap (trainval holds train), and a file needs naming once.
    _raise(list(dict.fromkeys(problems)))


def _raise(problems: list[Problem]) -> None:
    if problems:
        listed = '\n  '.join(map(str, problems))
        raise ValueError(f'nothing was written: {len(problems)} problem(s) in the data\n  {listed}')


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
    if size and ids is not None and ids.shape != size:
        (height, width), (rows, columns) = size, ids.shape
        problems.append(Problem(pair.label, f'is {columns}x{rows} but its image {pair.image} is {width}x{height}'))
    if problems:
        return Checked(tuple(problems))
    return Checked((), *size, np.bincount(ids.ravel(), minlength=256))


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)


def read_pair(dataset: Dataset, pair: Pair) -> records.Record:
    """The record of a pair that has passed check_pair."""
    image, image_format, height, width = images.encoded_rgb(pair.image)
    ids = labels.read(pair.label, dataset)
    if ids.shape != (height, width):
        raise ValueError(f'{pair.label}: changed during the conversion')
    return records.Record(pair.id, image, image_format, height, width, labels.encode(ids))


def _write_split(dataset: Dataset, split: str, pairs: list[Pair], summary: Summary, work: Path, num_shards: int,
                 workers: int) -> dict:
    num_shards = min(num_shards, len(pairs))
    bounds = [len(pairs) * shard // num_shards for shard in range(num_shards + 1)]
    shards = []
    with Progress(len(pairs), f'writing {dataset.name} {split}') as progress:
        stream = _counted(ordered_map(functools.partial(read_pair, dataset), pairs, workers), progress)
        for shard, (start, stop) in enumerate(zip(bounds, bounds[1:], strict=False)):
            path = work / records.shard_name(split, shard, num_shards)
            records.write_shard(path, (next(stream) for _ in range(stop - start)))
            shards.append({'name': path.name, 'records': stop - start, 'bytes': path.stat().st_size,
                           'sha256': _sha256(path)})
    manifest = _manifest(dataset, split, [pair.id for pair in pairs], summary, shards)
    (work / records.manifest_name(split)).write_text(json.dumps(manifest, indent=1) + '\n', encoding='utf-8')
    return manifest


def _counted(stream: Iterator, progress: Progress) -> Iterator:
    for item in stream:
        progress.update()
        yield item


def _sha256(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def _manifest(dataset: Dataset, split: str, ids: list[str], summary: Summary, shards: list[dict]) -> dict:
    heights, widths = zip(*summary.sizes, strict=True)
    class_pixels = summary.pixels[:dataset.num_classes].copy()
    if dataset.ignore_label < dataset.num_classes:
        class_pixels[dataset.ignore_label] = 0
    return {
        'dataset': dataset.name,
        'split': split,
        'num_examples': len(ids),
        'published_num_examples': dataset.splits[split].num_images,
        'height': [min(heights), max(heights)],
        'width': [min(widths), max(widths)],
        'class_names': list(dataset.class_names),
        'class_pixels': class_pixels.tolist(),
        'ignore_label': dataset.ignore_label,
        'ignored_pixels': int(summary.pixels[dataset.ignore_label]),
        'list_sha256': hashlib.sha256('\n'.join(ids).encode()).hexdigest(),
        'shards': shards,
        'tool': TOOL,
    }


def _publish(work: Path, output_dir: Path, split: str) -> None:
    """Replaces the split's files by those in `work`; the manifest goes last, so that a cut in between is noticed."""
    new = sorted(work.iterdir(), key=lambda path: path.name == records.manifest_name(split))
    names = {path.name for path in new}
    for old in _published(output_dir, split):
        if old.name not in names:
            old.unlink()
    for path in new:
        os.replace(path, output_dir / path.name)


def main(arguments: Sequence[str] | None = None) -> int:
    # Read by TensorFlow's C++ runtime when the shards are written.
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
    options = _parser().parse_args(arguments)
    try:
        dataset = registry.load(options.dataset)
        manifests = convert(dataset, options.data_dir, options.output_dir, options.splits,
                            num_shards=options.num_shards, workers=options.workers, overwrite=options.overwrite)
    except ValueError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    for split, manifest in manifests.items():
        _report(dataset, split, manifest, options.output_dir)
    return 0


def _report(dataset: Dataset, split: str, manifest: dict, output_dir: str) -> None:
    count, published = manifest['num_examples'], manifest['published_num_examples']
    if published and count != published:
        print(f'warning: {dataset.name} {split} has {count} examples, not the published {published}', file=sys.stderr)
    shards = manifest['shards']
    megabytes = sum(shard['bytes'] for shard in shards) / 1e6
    print(f'{dataset.name} {split}: {count} examples, {len(shards)} shards, {megabytes:.1f} MB in {output_dir}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='python -m datasets.convert', description=__doc__.split(':')[0])
    parser.add_argument('--dataset', required=True, help=f'{", ".join(registry.names())}, or the path of a .toml row')
    parser.add_argument('--data_dir', required=True, help='the unpacked dataset')
    parser.add_argument('--output_dir', required=True, help='where the shards and manifests go')
    parser.add_argument('--splits', nargs='+', default=(), help='default: every split that data_dir has a list of')
    parser.add_argument('--num_shards', type=_positive, default=NUM_SHARDS, help='per split; default %(default)s')
    parser.add_argument('--workers', type=_positive, help='processes; default one per core')
    parser.add_argument('--overwrite', action='store_true', help='replace what output_dir holds of these splits')
    return parser


def _positive(text: str) -> int:
    if int(text) < 1:
        raise ValueError
    return int(text)


if __name__ == '__main__':
    sys.exit(main())

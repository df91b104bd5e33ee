"""What a conversion wrote, beside the shards: it tells a short or mixed set from a whole one."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datasets.row import Dataset

TOOL = 'datasets.convert 2'


@dataclass
class Pixels:
    """Sizes (height, width) met in a split, pixels per id, and all pixels of the images that show the id."""

    sizes: set[tuple[int, int]] = field(default_factory=set)
    counts: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    image_pixels: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))

    def add(self, size: tuple[int, int], counts: np.ndarray) -> None:
        self.sizes.add(size)
        self.counts += counts
        self.image_pixels += (counts > 0) * counts.sum()

    def merge(self, other: 'Pixels') -> None:
        self.sizes |= other.sizes
        self.counts += other.counts
        self.image_pixels += other.image_pixels


def file_name(split: str) -> str:
    return f'{split}.manifest.json'


def shard_entry(path: Path, num_records: int) -> dict:
    with path.open('rb') as file:
        digest = hashlib.file_digest(file, 'sha256').hexdigest()
    return {'name': path.name, 'records': num_records, 'bytes': path.stat().st_size, 'sha256': digest}


def build(dataset: Dataset, split: str, ids: Sequence[str], pixels: Pixels, shards: Sequence[dict]) -> dict:
    """The manifest.

    `num_images` counts what the list names and the published number means; examples may be tiles of these.
    """
    heights, widths = zip(*pixels.sizes, strict=True)
    return {
        'dataset': dataset.name,
        'split': split,
        'num_examples': sum(shard['records'] for shard in shards),
        'num_images': len(ids),
        'published_num_examples': dataset.splits[split].num_images,
        'height': [min(heights), max(heights)],
        'width': [min(widths), max(widths)],
        'class_names': list(dataset.class_names),
        'class_pixels': _of_classes(dataset, pixels.counts),
        # Eigen and Fergus' denominator of a class's frequency: ignored pixels count, as they belong to the image.
        'class_image_pixels': _of_classes(dataset, pixels.image_pixels),
        'ignore_label': dataset.ignore_label,
        'ignored_pixels': int(pixels.counts[dataset.ignore_label]),
        'list_sha256': list_hash(ids),
        'shards': list(shards),
        'tool': TOOL,
    }


def list_hash(ids: Sequence[str]) -> str:
    """Of the ids joined by line feeds, however the list was written."""
    return hashlib.sha256('\n'.join(ids).encode()).hexdigest()


def _of_classes(dataset: Dataset, counts: np.ndarray) -> list[int]:
    """Counts per id -> per class, 0 for a class that is ignored."""
    return [0 if label == dataset.ignore_label else int(counts[label]) for label in range(dataset.num_classes)]


def write(path: Path, manifest: dict) -> None:
    path.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def read(record_dir: Path, split: str) -> dict | None:
    """The split's manifest, None when there is none (records of another tool)."""
    path = record_dir / file_name(split)
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f'{path}: not a manifest ({error}); convert the split again') from error


def compare(manifest: dict, shards: Sequence[Path], num_records: Sequence[int]) -> None:
    """ValueError when shards on disk differ from the manifest in name, size or number of records."""
    expected = {entry['name']: (entry['bytes'], entry['records']) for entry in manifest['shards']}
    actual = {shard.name: (shard.stat().st_size, count) for shard, count in zip(shards, num_records, strict=True)}
    wrong = [f'{name} has {_told(actual.get(name))}, not {_told(expected.get(name))}'
             for name in sorted({*expected, *actual}) if expected.get(name) != actual.get(name)]
    if wrong:
        raise ValueError(f'{shards[0].parent}: {manifest["split"]} is not what its manifest says: {"; ".join(wrong)}; '
                         'convert the split again')


def _told(size_and_count: tuple[int, int] | None) -> str:
    return '{} bytes in {} records'.format(*size_and_count) if size_and_count else 'nothing'

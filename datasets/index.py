"""Where each example of a split lies, so that any of them can be read without reading those before it."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets import records

# Byte 24 and 25 of a PNG: bit depth 8, colour type 0 (grey).
GREY_PNG = b'\x08\x00'


@dataclass(frozen=True, eq=False)
class RecordIndex:
    """The shards of a split and the byte offsets (int64) of each one's records."""

    files: tuple[str, ...]
    offsets: tuple[np.ndarray, ...]
    manifest: dict | None

    @property
    def num_examples(self) -> int:
        return sum(map(len, self.offsets))


def index_records(record_dir: str | Path, split: str) -> RecordIndex:
    """Scans all headers of a split; ValueError when it is missing, empty, truncated or not what its manifest says."""
    record_dir = Path(record_dir)
    shards = records.find_shards(record_dir, split)
    if not shards:
        raise ValueError(f'{record_dir} has no shards of split {split!r}: {_advice(record_dir)}')
    _refuse_incomplete(record_dir, split, shards)
    manifest = _read_manifest(record_dir, split)
    if manifest:
        _compare_sizes(record_dir, manifest, shards)
    offsets = tuple(map(records.scan_offsets, shards))
    if manifest:
        _compare_counts(manifest, shards, offsets)
    for shard in shards:
        _check_first_record(shard)
    return RecordIndex(tuple(map(str, shards)), offsets, manifest)


def _advice(record_dir: Path) -> str:
    names = [path.name for path in record_dir.glob('*')] if record_dir.is_dir() else []
    found = {match[1] for name in names if (match := re.match(r'(.+?)-\d+-of-\d+', name))}
    if found:
        return f'splits that are there: {", ".join(sorted(found))}'
    return 'run `python -m datasets.convert` and give its --output_dir'


def _refuse_incomplete(record_dir: Path, split: str, shards: tuple[Path, ...]) -> None:
    numbered = [match for shard in shards if (match := re.search(r'-(\d+)-of-(\d+)', shard.name))]
    totals = {int(match[2]) for match in numbered}
    present = [int(match[1]) for match in numbered]
    if numbered and (len(totals) > 1 or len(numbered) < len(shards) or sorted(present) != list(range(max(totals)))):
        names = ', '.join(shard.name for shard in shards)
        raise ValueError(f'{record_dir}: the shards of {split!r} are not one complete set: {names}; convert them again')


def _read_manifest(record_dir: Path, split: str) -> dict | None:
    path = record_dir / records.manifest_name(split)
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ValueError(f'{path}: not a manifest ({error}); convert the split again') from error


def _compare_sizes(record_dir: Path, manifest: dict, shards: tuple[Path, ...]) -> None:
    expected = {shard['name']: shard['bytes'] for shard in manifest['shards']}
    actual = {shard.name: shard.stat().st_size for shard in shards}
    wrong = [f'{name} has {actual.get(name, "no")} bytes, not {expected.get(name, "any")}'
             for name in sorted({*expected, *actual}) if expected.get(name) != actual.get(name)]
    if wrong:
        raise ValueError(f'{record_dir}: differs from the manifest: {"; ".join(wrong)}; convert the split again')


def _compare_counts(manifest: dict, shards: tuple[Path, ...], offsets: tuple[np.ndarray, ...]) -> None:
    expected = {shard['name']: shard['records'] for shard in manifest['shards']}
    for shard, found in zip(shards, offsets, strict=True):
        if len(found) != expected[shard.name]:
            raise ValueError(f'{shard}: holds {len(found)} records, the manifest says {expected[shard.name]}; '
                             'convert the split again')


def _check_first_record(shard: Path) -> None:
    """Foreign records are found out before a graph is built; the graph looks at the rest as they come."""
    record = records.parse(records.read_first(shard))
    if record.label[24:26] != GREY_PNG:
        raise ValueError(f'{shard}: its labels are not 8-bit greyscale PNGs of ids (TensorFlow would read a palette '
                         'as luma): convert the dataset with `python -m datasets.convert`')

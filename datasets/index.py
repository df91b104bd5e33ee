"""Where each example of a split lies, so that any of them can be read without reading those before it."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets import manifest, records
from datasets.registry import Dataset

# Bytes 24 and 25 of a PNG: bit depth 8, colour type 0 (grey).
GREY_PNG = b'\x08\x00'


@dataclass(frozen=True, eq=False)
class RecordIndex:
    """The shards of a split, the byte offsets (int64) of each one's records, and the manifest when there is one."""

    files: tuple[str, ...]
    offsets: tuple[np.ndarray, ...]
    manifest: dict | None

    @property
    def num_examples(self) -> int:
        return sum(map(len, self.offsets))


def index_records(record_dir: str | Path, split: str, dataset: Dataset | None = None) -> RecordIndex:
    """Scans the headers of a split's records.

    ValueError when the split is missing, empty, truncated, not what its manifest says, converted from something else
    than `dataset`, or has labels that TensorFlow would misread.
    """
    record_dir = Path(record_dir)
    shards = records.find_shards(record_dir, split)
    if not shards:
        raise ValueError(f'{record_dir} has no shards of split {split!r}: {_advice(record_dir)}')
    _refuse_incomplete(record_dir, split, shards)
    written = manifest.read(record_dir, split)
    offsets = tuple(map(records.scan_offsets, shards))
    if written:
        manifest.compare(written, shards, [len(found) for found in offsets])
    if written and dataset and written['class_names'] != list(dataset.class_names):
        raise ValueError(f'{record_dir}: {split} was converted from {written["dataset"]}, whose classes are not those '
                         f'of {dataset.name}: give the other --dataset or --data_dir')
    for shard in shards:
        _check_first_record(shard)
    return RecordIndex(tuple(map(str, shards)), offsets, written)


def _advice(record_dir: Path) -> str:
    names = [path.name for path in record_dir.glob('*')] if record_dir.is_dir() else []
    found = {match[1] for name in names if (match := re.match(r'(.+?)-\d+-of-\d+', name))}
    if found:
        return f'splits that are there: {", ".join(sorted(found))}'
    return 'run `python -m datasets.convert` and give its --output_dir'


def _refuse_incomplete(record_dir: Path, split: str, shards: tuple[Path, ...]) -> None:
    numbers = [re.search(r'-(\d+)-of-(\d+)', shard.name) for shard in shards]
    # A single unnumbered file, as seed 002 wrote it, counts as 0 of 1.
    positions = [(int(match[1]), int(match[2])) if match else (0, 1) for match in numbers]
    if positions != [(shard, len(shards)) for shard in range(len(shards))]:
        names = ', '.join(shard.name for shard in shards)
        raise ValueError(f'{record_dir}: the shards of {split!r} are not one complete set: {names}; '
                         'keep one set, or convert the split again')


def _check_first_record(shard: Path) -> None:
    """Foreign records are found out before a graph is built; the graph looks at the rest as they come."""
    try:
        record = records.parse(records.read_first(shard))
    except ValueError as error:
        raise ValueError(f'{shard}: {error}') from error
    if record.label[24:26] != GREY_PNG:
        raise ValueError(f'{shard}: its labels are not 8-bit greyscale PNGs of ids (TensorFlow would read a palette '
                         'as luma): convert the dataset with `python -m datasets.convert`')

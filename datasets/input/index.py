"""Where each example of a split lies, so that any of them can be read without reading those before it."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from console.choices import choose
from datasets.records import checks, manifest, tfrecord
from datasets.records.frames import frames
from datasets.records.ids import LegalIds, legal_ids
from datasets.row import Dataset

ON_CORRUPT = ('stop', 'skip')


@dataclass(frozen=True, eq=False)
class RecordIndex:
    """The shards of a split, the byte offsets (int64) of each one's records, and the manifest when there is one.

    `corrupt` are the records to be skipped; `left_out` counts those of the split that `subset.first` didn't take, whose
    manifest is still the whole split's. `legal` are the ids that labels may hold, where they are known.
    """

    files: tuple[str, ...]
    offsets: tuple[np.ndarray, ...]
    manifest: dict | None
    corrupt: tuple[checks.Bad, ...] = ()
    left_out: int = 0
    legal: LegalIds | None = None

    @property
    def num_examples(self) -> int:
        return sum(map(len, self.offsets))

    @property
    def rows(self) -> np.ndarray:
        """The row to read for each row, int64 [num_examples]: its own, or the next one that isn't corrupt."""
        corrupt = {(bad.shard, bad.offset) for bad in self.corrupt}
        good = [(file, offset) not in corrupt for file, offsets in zip(self.files, self.offsets, strict=True)
                for offset in offsets.tolist()]
        usable = np.flatnonzero(good)
        if not len(usable):
            raise ValueError(f'{self.files[0]}: none of the {self.num_examples} records can be used')
        return usable[np.searchsorted(usable, np.arange(self.num_examples)) % len(usable)]


def index_records(record_dir: str | Path, split: str, dataset: Dataset | None = None, *, on_corrupt: str = 'stop'
                  ) -> RecordIndex:
    """Scans the headers of a split's records, or with `on_corrupt` 'skip' decodes all, to know which to skip.

    ValueError when the split is missing, empty, truncated, not what its manifest says, converted from something else
    than `dataset`, or has labels that TensorFlow would misread.
    """
    choose('data.on_corrupt', on_corrupt, ON_CORRUPT)
    record_dir = Path(record_dir)
    shards = tfrecord.find_shards(record_dir, split)
    if not shards:
        raise ValueError(f'{record_dir} has no shards of split {split!r}: {_advice(record_dir)}')
    _refuse_incomplete(record_dir, split, shards)
    written = manifest.read(record_dir, split)
    offsets = tuple(map(tfrecord.scan_offsets if on_corrupt == 'stop' else _all_offsets, shards))
    if written:
        manifest.compare(written, shards, [len(found) for found in offsets])
    if written and dataset and written['class_names'] != list(dataset.class_names):
        raise ValueError(f'{record_dir}: {split} was converted from {written["dataset"]}, whose classes are not those '
                         f'of {dataset.name}: give the other --dataset or --record_dir')
    index = RecordIndex(tuple(map(str, shards)), offsets, written, legal=legal_ids(written, dataset))
    if on_corrupt == 'skip':
        return _without_corrupt(index)
    for shard in shards:
        _check_first_record(shard)
    return index


def _all_offsets(shard: Path) -> np.ndarray:
    return np.asarray([frame.offset for frame in frames(shard)], np.int64)


def _without_corrupt(index: RecordIndex) -> RecordIndex:
    corrupt = tuple(find_corrupt(index))
    if len(corrupt) == index.num_examples:
        raise ValueError(f'{index.files[0]}: no record can be used, such as {corrupt[0] if corrupt else "none at all"}')
    return replace(index, corrupt=corrupt)


def find_corrupt(index: RecordIndex) -> list[checks.Bad]:
    """Decodes every record, as training would, and returns those that can't be used."""
    parts = [chunk for shard in index.files for chunk in checks.chunks(Path(shard), index.legal)]
    return [found for part in checks.check_all(parts, os.cpu_count() or 1) for found in part
            if isinstance(found, checks.Bad)]


def refuse_corrupt(index: RecordIndex) -> None:
    """ValueError that lists the records that can't be used, if there are any; for when reading them has failed."""
    corrupt = [bad for bad in find_corrupt(index) if bad not in index.corrupt]
    if corrupt:
        listed = '\n  '.join(map(str, corrupt))
        again, whose = (('convert the split again', '') if index.manifest else
                        ('give the dataset that the split was made for, or make it again', ' --dataset NAME'))
        raise ValueError(f'{len(corrupt)} corrupt record(s)\n  {listed}\n{again}, or leave them out: `python -m '
                         f'datasets.verify{whose} --repair`, or data.on_corrupt = "skip" to train without them')


def _advice(record_dir: Path) -> str:
    names = [path.name for path in record_dir.glob('*')] if record_dir.is_dir() else []
    found = {match[1] for name in names if (match := re.match(r'(.+?)-\d+-of-\d+', name))}
    if found:
        return f'splits that are there: {", ".join(sorted(found))}'
    return 'run `python -m datasets.convert` and give its --output_dir'


def _refuse_incomplete(record_dir: Path, split: str, shards: tuple[Path, ...]) -> None:
    numbers = [re.search(r'-(\d+)-of-(\d+)', shard.name) for shard in shards]
    # A single unnumbered file, as rishizek/tensorflow-deeplab-v3-plus wrote it, counts as 0 of 1.
    positions = [(int(match[1]), int(match[2])) if match else (0, 1) for match in numbers]
    if positions != [(shard, len(shards)) for shard in range(len(shards))]:
        names = ', '.join(shard.name for shard in shards)
        raise ValueError(f'{record_dir}: the shards of {split!r} are not one complete set: {names}; '
                         'keep one set, or convert the split again')


def _check_first_record(shard: Path) -> None:
    """Foreign records are found out before a graph is built; the graph looks at the rest as they come."""
    try:
        record = tfrecord.parse(tfrecord.read_first(shard))
    except ValueError as error:
        raise ValueError(f'{shard}: {error}') from error
    if record.label[24:26] != tfrecord.GREY_PNG:
        raise ValueError(f'{shard}: its labels are not 8-bit greyscale PNGs of ids (TensorFlow would read a palette '
                         'as luma): convert the dataset with `python -m datasets.convert`')

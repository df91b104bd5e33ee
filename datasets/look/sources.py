"""Splits to look at, raw or converted: counted first, then shown by position."""

import functools
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from console.parallel import ordered_map
from datasets import row as rows
from datasets.raw import images, labels
from datasets.raw.layouts import find_pairs
from datasets.raw.pairs import Problem
from datasets.records import checks, manifest, tfrecord
from datasets.records.checks import Bad, Good
from datasets.records.examples import Checked, check_pair
from datasets.records.frames import HEADER_BYTES, frames, length_of
from datasets.records.ids import LegalIds
from datasets.row import Dataset


class Raw:
    """The files of a split, as a row finds them; files without partner are `problems`."""

    def __init__(self, dataset: Dataset, raw_dir: Path, split: str):
        self.dataset = dataset
        self._pairs, self.problems = find_pairs(dataset, raw_dir, split)

    def __len__(self) -> int:
        return len(self._pairs)

    def scan(self, workers: int) -> Iterator[Good | Problem]:
        """What became of every example, in order; the first problem of those that have some."""
        check = functools.partial(check_pair, self.dataset)
        for pair, checked in zip(self._pairs, ordered_map(check, self._pairs, workers), strict=True):
            yield Good(pair.id, checked.size, checked.pixels) if isinstance(checked, Checked) else checked[0]

    def read(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [h, w, 3] and class ids uint8 [h, w]."""
        pair = self._pairs[position]
        return images.read(pair.image).pixels(), labels.read(pair.label, self.dataset)


class Records:
    """The records of a split; `dataset` names the classes of records that have no manifest."""

    problems = ()

    def __init__(self, record_dir: Path, split: str, dataset: Dataset | None):
        shards = tfrecord.find_shards(record_dir, split)
        if not shards:
            raise ValueError(f'{record_dir} has no shards of split {split!r}')
        written = manifest.read(record_dir, split)
        if dataset:
            self.dataset = dataset
        elif written:
            self.dataset = _row_of(written)
        else:
            raise ValueError(f'{record_dir} has no manifest of {split}: give --dataset, to know the classes')
        legal = LegalIds(self.dataset.num_classes, self.dataset.ignore_label)
        self._chunks = [chunk for shard in shards for chunk in checks.chunks(shard, legal)]
        self._places = [(shard, frame.offset) for shard in shards for frame in frames(shard)]

    def __len__(self) -> int:
        return len(self._places)

    def scan(self, workers: int) -> Iterator[Good | Bad]:
        for found in checks.check_all(self._chunks, workers):
            yield from found

    def read(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """Image uint8 [h, w, 3] and class ids uint8 [h, w]."""
        shard, offset = self._places[position]
        with shard.open('rb') as file:
            file.seek(offset)
            record = tfrecord.parse(file.read(length_of(file.read(HEADER_BYTES))))
        return _rgb(record.image), np.asarray(Image.open(io.BytesIO(record.label)))


def _rgb(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert('RGB'))


def _row_of(written: dict[str, Any]) -> Dataset:
    """The row that the records were converted with, for its colours; made up where it isn't ours."""
    names = tuple(written['class_names'])
    if written['dataset'] in rows.names():
        dataset = rows.load(written['dataset'])
        if dataset.class_names == names and dataset.ignore_label == written['ignore_label']:
            return dataset
    return Dataset(name=written['dataset'], title='', url='', licence='', class_names=names,
                   palette=made_up_colors(len(names)), ignore_label=written['ignore_label'], ids={}, splits={},
                   layout=rows.Layout(''))


def made_up_colors(count: int) -> tuple[tuple[int, int, int], ...]:
    """Pascal VOC's rule for each of the ids 0 .. count - 1."""
    return tuple(map(rows.default_color, range(count)))

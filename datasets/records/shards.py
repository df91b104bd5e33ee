"""Writes the shards of a split, and keeps those that an interrupted conversion has finished.

Beside a finished shard lies its journal: a fingerprint of the row and of the files that went into it (name, size and
time of each), its manifest entry and its pixels. A shard is kept when all that is still so.
"""

import dataclasses
import functools
import hashlib
import itertools
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import PIL

from console.parallel import ordered_map
from console.progress import Progress
from datasets.raw import labels
from datasets.raw.pairs import Pair, Problem
from datasets.records import examples, manifest, tfrecord
from datasets.records.examples import Made
from datasets.records.manifest import Pixels
from datasets.row import Dataset

JOURNAL = '.journal'
# Results in flight per worker: the results of an image that is cut into tiles are larger than it.
AHEAD, AHEAD_OF_TILES = 4, 1
# What the bytes of a record depend on besides the data: shards of others aren't mixed with new ones.
WRITERS = manifest.TOOL, PIL.__version__, zlib.ZLIB_RUNTIME_VERSION


@dataclass
class Shard:
    """A shard to be written, or already written when it has an `entry`."""

    path: Path
    pairs: list[Pair]
    fingerprint: str
    entry: dict[str, Any] | None = None
    pixels: Pixels = field(default_factory=Pixels)

    @property
    def journal(self) -> Path:
        return self.path.with_suffix(JOURNAL)


@dataclass
class Written:
    """The manifest entries of a split's shards, their pixels, and what was wrong with its files."""

    entries: list[dict[str, Any]]
    pixels: Pixels
    problems: list[Problem]
    num_kept: int


def write(dataset: Dataset, split: str, pairs: list[Pair], work: Path, num_shards: int, workers: int) -> Written:
    """Shards of nearly equal numbers of consecutive pairs; with problems they are incomplete, and to be removed."""
    shards = _plan(dataset, split, pairs, work, num_shards)
    num_kept = sum(shard.entry is not None for shard in shards)
    todo = [pair for shard in shards if not shard.entry for pair in shard.pairs]
    entries: list[dict[str, Any]] = []
    pixels, problems = Pixels(), list[Problem]()
    stream = _stream(dataset, split, todo, workers)
    for shard in shards:
        if not shard.entry:
            made = itertools.islice(stream, len(shard.pairs))
            count = tfrecord.write_shard(shard.path, _records(made, shard.pixels, problems))
            shard.entry = manifest.shard_entry(shard.path, count)
            if not problems:
                _write_journal(shard)
        entries.append(shard.entry)
        pixels.merge(shard.pixels)
    next(stream, None)  # Lets the progress say that it's done.
    return Written(entries, pixels, problems, num_kept)


def _plan(dataset: Dataset, split: str, pairs: list[Pair], work: Path, num_shards: int) -> list[Shard]:
    num_shards = min(num_shards, len(pairs))
    bounds = [len(pairs) * shard // num_shards for shard in range(num_shards + 1)]
    shards = []
    for number, (first, last) in enumerate(itertools.pairwise(bounds)):
        path = work / tfrecord.shard_name(split, number, num_shards)
        shards.append(Shard(path, pairs[first:last], _fingerprint(dataset, pairs[first:last])))
        _read_journal(shards[-1])
    _remove_others(work, shards)
    return shards


def _remove_others(work: Path, shards: list[Shard]) -> None:
    """What else the interrupted conversion has left, such as the shard it was writing."""
    kept = {path for shard in shards if shard.entry for path in (shard.path, shard.journal)}
    for path in work.iterdir():
        if path not in kept:
            path.unlink()


def _stream(dataset: Dataset, split: str, pairs: list[Pair], workers: int) -> Iterator[Made]:
    make = functools.partial(examples.make, dataset)
    ahead = AHEAD_OF_TILES if dataset.tiles else AHEAD
    with Progress(len(pairs), f'converting {dataset.name} {split}') as progress:
        for made in ordered_map(make, pairs, workers, ahead):
            progress.update()
            yield made


def _records(stream: Iterable[Made], pixels: Pixels, problems: list[Problem]) -> Iterator[tfrecord.Record]:
    """The records of the stream; after the first problem none, as nothing will be kept."""
    for made in stream:
        problems += made.problems
        for checked in made.checked:
            pixels.add(checked.size, checked.pixels)
        if not problems:
            yield from made.records


def _fingerprint(dataset: Dataset, pairs: list[Pair]) -> str:
    digest = hashlib.sha256(repr((*WRITERS, dataclasses.astuple(dataset))).encode())
    for pair in pairs:
        digest.update(repr((pair.id, *map(_stamp, (pair.image, *labels.files(pair.label, dataset))))).encode())
    return digest.hexdigest()


def _stamp(path: Path) -> tuple[str, int, int] | tuple[str, None]:
    try:
        status = path.stat()
    except OSError:
        return str(path), None
    return str(path.absolute()), status.st_size, status.st_mtime_ns


def _write_journal(shard: Shard) -> None:
    pixels = shard.pixels
    written = {'fingerprint': shard.fingerprint, 'entry': shard.entry, 'sizes': sorted(pixels.sizes),
               'counts': pixels.counts.tolist(), 'image_pixels': pixels.image_pixels.tolist()}
    shard.journal.write_text(json.dumps(written))


def _read_journal(shard: Shard) -> None:
    """Fills in a finished shard; anything that doesn't fit makes it be written again."""
    try:
        written = json.loads(shard.journal.read_text())
        if written['fingerprint'] != shard.fingerprint:
            return
        if manifest.shard_entry(shard.path, written['entry']['records']) != written['entry']:
            return
        pixels = Pixels(set(map(tuple, written['sizes'])), np.asarray(written['counts'], np.int64),
                        np.asarray(written['image_pixels'], np.int64))
    except (OSError, ValueError, KeyError, TypeError):
        return
    shard.entry, shard.pixels = written['entry'], pixels

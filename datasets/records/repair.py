"""Writes a split's shards without its bad records."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from datasets.records import manifest, tfrecord
from datasets.records.frames import frames
from datasets.records.manifest import Pixels
from datasets.records.report import Report
from datasets.row import Dataset, Layout, Split

KEPT = 'before_repair'


def repair(report: Report, output_dir: Path) -> str:
    """Writes what `report` found good to output_dir, byte for byte, and says so.

    In the records' own folder the new files replace the old, which are kept below it. Records whose name a former one
    has stay: only a person knows which to drop. ValueError when nothing is good or files are in the way.
    """
    if not report.names:
        raise ValueError(f'{report.shards[0].parent}: no record of {report.split} can be used: convert it again')
    record_dir = report.shards[0].parent
    output_dir.mkdir(parents=True, exist_ok=True)
    in_place = output_dir.resolve() == record_dir.resolve()
    old = [*report.shards, *([record_dir / manifest.file_name(report.split)] if report.manifest else [])]
    kept = record_dir / KEPT
    if in_place:
        _refuse_kept(old, kept)
    else:
        _refuse_existing(output_dir, report.split)
    with tempfile.TemporaryDirectory(prefix='.repair-', dir=output_dir) as name:
        new = _write(report, Path(name))
        if in_place:
            _keep(old, kept, {path.name for path in new})
        for path in new:
            os.replace(path, output_dir / path.name)
    return (f'{report.split}: wrote {len(report.names)} records to {output_dir}, {len(report.bad)} left out'
            + (f'; the old files are in {kept}' if in_place else ''))


def updated(written: dict, names: Sequence[str], pixels: Pixels, shards: Sequence[dict]) -> dict:
    """A manifest of the same dataset and split for other records."""
    split = written['split']
    dataset = Dataset(
        name=written['dataset'], title='', url='', licence='', class_names=tuple(written['class_names']), palette=(),
        ignore_label=written['ignore_label'], ids={}, layout=Layout(''),
        splits={split: Split(written['published_num_examples'])})
    return {**written, **manifest.build(dataset, split, names, pixels, shards)}


def _refuse_kept(old: Sequence[Path], folder: Path) -> None:
    in_the_way = [folder / path.name for path in old if (folder / path.name).exists()]
    if in_the_way:
        raise ValueError(f'{in_the_way[0]} exists, from a repair before: move {folder} away, or give --output_dir')


def _keep(old: Sequence[Path], folder: Path, replaced: set[str]) -> None:
    """Puts the old files into `folder` too, and takes away those that won't be replaced."""
    folder.mkdir(exist_ok=True)
    for path in old:
        try:
            os.link(path, folder / path.name)
        except OSError:  # a file system without hard links
            shutil.copy2(path, folder / path.name)
        if path.name not in replaced:
            path.unlink()


def _refuse_existing(output_dir: Path, split: str) -> None:
    existing = [*tfrecord.find_shards(output_dir, split), *output_dir.glob(manifest.file_name(split))]
    if existing:
        raise ValueError(f'{existing[0]} exists: give another --output_dir')


def _write(report: Report, work: Path) -> list[Path]:
    """The new shards and, last, the manifest; a shard of which nothing is left goes."""
    bad = {(record.shard, record.offset) for record in report.bad}
    good = [(shard, [frame for frame in frames(shard) if (str(shard), frame.offset) not in bad])
            for shard in report.shards]
    good = [(shard, left) for shard, left in good if left]
    entries, new = [], []
    for number, (shard, left) in enumerate(good):
        path = work / tfrecord.shard_name(report.split, number, len(good))
        with shard.open('rb') as source, path.open('wb') as target:
            for frame in left:
                source.seek(frame.offset)
                target.write(source.read(frame.end - frame.offset))
        entries.append(manifest.shard_entry(path, len(left)))
        new.append(path)
    if report.manifest:
        path = work / manifest.file_name(report.split)
        manifest.write(path, updated(report.manifest, report.names, report.pixels, entries))
        new.append(path)
    return new

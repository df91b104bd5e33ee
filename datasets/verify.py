"""Reads every record of every shard, and lists those that are bad.

    python -m datasets.verify --record_dir records/NAME

A record is bad when its CRCs, its keys, its encodings, its sizes or its label ids are; a split is bad when it isn't
what its manifest says. Either is exit status 1, repaired or not. Of records without a manifest the ids are compared
with the classes of the --dataset that is given.
"""

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from console.command import Parser, positive
from console.exits import DONE, FAILED, guarded
from console.progress import Progress
from datasets import row as rows
from datasets.records import checks, manifest, repair, tfrecord
from datasets.records.ids import legal_ids
from datasets.records.report import Report
from datasets.row import Dataset


def verify(record_dir: Path, split: str, workers: int = 1, dataset: Dataset | None = None) -> Report:
    """Reads a split as training would, on the dataset where there is no manifest; ValueError when it has no shards."""
    shards = tfrecord.find_shards(record_dir, split)
    if not shards:
        raise ValueError(f'{record_dir} has no shards of split {split!r}; there are: '
                         f'{", ".join(present_splits(record_dir)) or "none"}')
    written = manifest.read(record_dir, split)
    report = Report(split, shards, written, legal_ids(written, dataset))
    parts = [chunk for shard in shards for chunk in checks.chunks(shard, report.legal)]
    with Progress(sum(len(chunk.frames) for chunk in parts), f'verifying {split}') as progress:
        for found in checks.check_all(parts, workers):
            progress.update(len(found))
            _note(report, found)
    report.problems += _repeated(report.names)
    if report.manifest:
        report.problems += _differences(report, report.manifest)
    return report


def present_splits(record_dir: Path) -> tuple[str, ...]:
    """The splits that a folder has shards or a manifest of."""
    pattern = re.compile(r'(.+?)(-\d+-of-\d+(\.tfrecord)?|\.record|\.tfrecord|\.manifest\.json)')
    matches = (pattern.fullmatch(path.name) for path in Path(record_dir).glob('*'))
    return tuple(sorted({match[1] for match in matches if match}))


def _note(report: Report, found: list[checks.Bad | checks.Good]) -> None:
    for one in found:
        if isinstance(one, checks.Bad):
            report.bad.append(one)
        else:
            report.names.append(one.name)
            report.pixels.add(one.size, one.pixels)


def _repeated(names: list[str]) -> list[str]:
    # Records of rishizek/tensorflow-deeplab-v3-plus have no names.
    return [f'{count} records are named {name!r}' for name, count in Counter(filter(None, names)).items() if count > 1]


def _differences(report: Report, written: dict[str, Any]) -> list[str]:
    """What the manifest says otherwise: of the files first, of the records only when all could be read."""
    actual = {shard.name: shard for shard in report.shards}
    entries = {entry['name']: entry for entry in written['shards']}
    problems = [f'{name} is missing' for name in entries if name not in actual]
    problems += [f'{name} is not in the manifest' for name in actual if name not in entries]
    for name in sorted(entries.keys() & actual.keys()):
        entry = manifest.shard_entry(actual[name], entries[name]['records'])
        problems += [f'{name} has {key} {entry[key]}, the manifest says {entries[name][key]}'
                     for key in ('bytes', 'sha256') if entry[key] != entries[name][key]]
    if report.bad:
        return problems
    found = {'num_examples': len(report.names),
             'list_sha256': manifest.list_hash(report.names)}
    if report.names:
        found |= repair.updated(written, report.names, report.pixels, written['shards'])
    return problems + [f'{key} is {found[key]}, the manifest says {written[key]}' for key in found
                       if key in written and found[key] != written[key] and key not in ('shards', 'tool')]


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    record_dir, output_dir = Path(options.record_dir), options.output_dir and Path(options.output_dir)
    splits = tuple(options.splits) or present_splits(record_dir)
    if not splits:
        raise ValueError(f'{record_dir} has no records: write some with `python -m datasets.convert`')
    status = DONE
    dataset = rows.load(options.dataset) if options.dataset else None
    for split in splits:
        report = verify(record_dir, split, options.workers or os.cpu_count() or 1, dataset)
        print(report)
        if not report.sound:
            status = FAILED
            if options.repair:
                print(repair.repair(report, output_dir or record_dir))
    return status


def _parser() -> Parser:
    parser = Parser('datasets.verify', __doc__)
    parser.add_argument('--record_dir', required=True, help='what `python -m datasets.convert` wrote')
    parser.add_argument('--splits', nargs='+', default=(), help='default: every split that record_dir has')
    parser.add_argument('--dataset', help='whose classes ids are compared with where there is no manifest: '
                                          f'{", ".join(rows.names())}, or the path of a .toml row')
    parser.add_argument('--workers', type=positive, help='processes; default one per core')
    parser.add_argument('--repair', action='store_true', help='write shards of bad splits without the bad records')
    parser.add_argument('--output_dir', help='a new folder for the repaired splits; default: they replace the old '
                                             f'ones, which are kept in record_dir/{repair.KEPT}')
    return parser


if __name__ == '__main__':
    sys.exit(guarded(main))

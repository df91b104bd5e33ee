"""Fetch a released checkpoint: download, verify, unpack.

    python -m pretrained.fetch --list
    python -m pretrained.fetch NAME [NAME ...] [--dir FOLDER]

Nobody publishes hashes of these archives, so the first download is trusted: its SHA-256 and those of its files go into
DIR/NAME.json, and whatever comes later has to be the same. A checkpoint that is there and unchanged is not fetched
again; one that was changed is left alone, with an error. Without network, put the archive into DIR by hand.
"""

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole
from pretrained import catalog
from pretrained.catalog import WEIGHTS, Entry
from pretrained.download import Unreachable, download
from pretrained.unpack import unpack

MAX_BYTES = 2 << 30  # of an archive, and of what is in it; the largest has half a gigabyte
MAX_RATIO = 20  # weights hardly compress
MARGIN = 1 << 20  # tar's own padding, which does


def fetch(entry: Entry, folder: Path) -> Path:
    """The prefix of the entry's checkpoint, or its one file, below `folder`/NAME; fetched if it isn't there.

    Raises:
      ValueError: the archive can't be had, isn't the one that was there before or isn't safe to unpack, or what is in
        `folder` was changed since, or another fetch is at work in it. Says what to do.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        return _fetch(entry, folder)


def _fetch(entry: Entry, folder: Path) -> Path:
    target, record_path = folder / entry.name, folder / f'{entry.name}.json'
    record = _read_record(record_path)
    if target.exists():
        unchanged = _unchanged(target, record, record_path)
        print(f'{entry.name} is in {target}, unchanged since {unchanged["fetched"]}')
        return target / unchanged['checkpoint']
    archive = folder / entry.archive
    by_hand = archive.exists()
    if not by_hand:
        _download(entry, archive)
    found = describe(archive)
    _check_archive(archive, found, entry, record)
    with _workspace(folder / f'.{entry.name}.unpacking') as work:
        unpack(archive, work, limit=min(MAX_BYTES, MAX_RATIO * found['bytes'] + MARGIN))
        checkpoint = _locate(work, entry)
        new = {'name': entry.name, 'url': entry.url, 'archive': {'file': archive.name, **found},
               'checkpoint': checkpoint, 'files': _contents(work),
               'fetched': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}
        # The record first: a folder without one isn't trusted, while a record without its folder is only a hash.
        write_whole(record_path, json.dumps(new, indent=2) + '\n')
        work.rename(target)
    if not by_hand:
        archive.unlink()
    known = 'as published' if entry.sha256 else 'the same as before' if record else f'first seen, now in {record_path}'
    print(f'{entry.name} is in {target}; SHA-256 of its archive {found["sha256"]}, {known}')
    return target / checkpoint


def describe(path: Path) -> dict[str, Any]:
    """Size and SHA-256 of a file."""
    with path.open('rb') as file:
        return {'bytes': path.stat().st_size, 'sha256': hashlib.file_digest(file, 'sha256').hexdigest()}


def _download(entry: Entry, archive: Path) -> None:
    try:
        download(entry.url, archive, limit=MAX_BYTES)
    except Unreachable as error:
        raise ValueError(f'{error}. By hand: download {entry.url}, put it at {archive.resolve()} and run this again'
                         ) from error


def _check_archive(archive: Path, found: dict[str, Any], entry: Entry, record: dict[str, Any] | None) -> None:
    for origin, known in (('the catalog', {'bytes': entry.bytes, 'sha256': entry.sha256}),
                          (f'{entry.name}.json of the first download', record['archive'] if record else {})):
        for key, value in found.items():
            if known.get(key) and known[key] != value:
                raise ValueError(f'{archive} has {key} {value}, not {known[key]} as {origin} says: it is damaged or '
                                 f'another file. Nothing was unpacked; remove it and run again')


def _unchanged(target: Path, record: dict[str, Any] | None, record_path: Path) -> dict[str, Any]:
    """The record of what lies in `target`, once all of it is as the record says."""
    remedy = f'Nothing was touched; move {target} away to fetch it again'
    if record is None:
        raise ValueError(f'{target} exists and there is no {record_path} that says what belongs into it. {remedy}')
    for name, known in record['files'].items():
        path = target / name
        if not path.is_file():
            raise ValueError(f'{path} is missing. {remedy}')
        if describe(path) != known:
            raise ValueError(f'{path} was changed since {record["fetched"]}. {remedy}')
    return record


def _contents(folder: Path) -> dict[str, dict[str, Any]]:
    return {path.relative_to(folder).as_posix(): describe(path) for path in sorted(folder.rglob('*')) if path.is_file()}


def _locate(folder: Path, entry: Entry) -> str:
    """The checkpoint inside an unpacked archive: the catalog's, else the only one."""
    names = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob('*')) if path.is_file()]
    # TensorFlow's first releases wrote one file, such as vgg_16.ckpt.
    found = [name.removesuffix('.index') for name in names if name.endswith(('.index', '.ckpt'))]
    if entry.checkpoint in found:
        return entry.checkpoint
    if len(found) != 1:
        raise ValueError(f'the archive of {entry.name} has {len(found)} checkpoints, not one: it holds '
                         f'{", ".join(names) or "no files"}')
    if entry.checkpoint:
        print(f'note: the checkpoint in it is {found[0]}, not {entry.checkpoint} as the catalog says', file=sys.stderr)
    return found[0]


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f'another fetch is at work in {folder}; wait for it, or give another --dir') from error
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _workspace(work: Path) -> Iterator[Path]:
    shutil.rmtree(work, ignore_errors=True)  # of a run that was killed
    work.mkdir()
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)  # gone already, under its final name, when all went well


def _read_record(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding='utf8'))
        record['archive']['sha256'], record['checkpoint'], record['fetched'], record['files'].items()
        return record
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path} is not a record of fetch ({error}); move it away') from error


def _listing(entries: Sequence[Entry], folder: Path) -> str:
    """A line for each: name, size, here or not, training data, published figures."""
    width = max(len(entry.name) for entry in entries)
    return '\n'.join(
        f'{"*" if (folder / entry.name).exists() else " "} {entry.name:{width}} {entry.size:>7}  {entry.trained_on}'
        f'{"; " if entry.figures else ""}{", ".join(map(_figure, entry.figures))}'
        f'{"" if entry.source.verified else " (not verified)"}' for entry in entries)


def _figure(figure: catalog.Figure) -> str:
    titles = {'mean_iou': 'mIoU', 'pixel_accuracy': 'pixel accuracy', 'top_1': 'top-1', 'top_5': 'top-5'}
    scores = ' / '.join(f'{value:g} {title}' for key, title in titles.items()
                        if (value := getattr(figure, key)) is not None)
    protocol = f' OS {figure.output_stride}' if figure.output_stride else ''
    protocol += f' {len(figure.scales)} scales' if len(figure.scales) > 1 else ''
    return f'{scores} on {figure.on}{protocol}{" flip" if figure.flip else ""}'


def _advice(entry: Entry, checkpoint: Path) -> list[str]:
    lines = [f'  python evaluate.py --recipe {figure.recipe} --checkpoint {checkpoint} --record_dir RECORDS'
             for figure in entry.figures if figure.recipe]
    options = ''.join(f' --model.backbone_options.{key} {value}' for key, value in entry.backbone_options.items())
    backbone = f' --model.backbone {entry.backbone}{options}' if entry.backbone else ''
    return lines or [f'  python train.py{backbone} --init {checkpoint} ...']


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser('pretrained.fetch', __doc__)
    parser.add_argument('names', nargs='*', metavar='NAME', help='checkpoints of the catalog')
    parser.add_argument('--dir', type=Path, default=WEIGHTS, help='where they go; default %(default)s')
    parser.add_argument('--list', action='store_true', help='what there is; * marks what DIR has')
    options = parser.parse_args(argv)
    entries = catalog.load()
    if options.list:
        print(_listing(list(entries.values()), options.dir))
        return DONE
    if not options.names:
        parser.error('give a NAME, or --list')
    for entry in [catalog.find(name, entries) for name in options.names]:
        print(*_advice(entry, fetch(entry, options.dir)), sep='\n')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

"""Converts a raw dataset into TFRecord shards with a manifest, after checking every file.

    python -m datasets.convert --dataset NAME --raw_dir DIR --output_dir records/NAME

Interrupted, the same command goes on with the shards that were finished; errors leave nothing behind.
"""

import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from console.command import Parser, positive
from console.exits import DONE, guarded
from datasets import row as rows
from datasets.raw import matlab
from datasets.raw.layouts import find_pairs, present_splits
from datasets.raw.pairs import Pair, Problem
from datasets.records import manifest, shards, tfrecord
from datasets.records.examples import check_pair
from datasets.row import Dataset

__all__ = ['check_pair', 'convert']

# Flags of other systems' builders, such as research/deeplab/datasets/build_voc2012_data.py: what they are here, or what
# to do instead.
FORMERLY = {'--data_dir': '--raw_dir', '--cityscapes_root': '--raw_dir', '--cityscapes_dir': '--raw_dir',
            '--output_path': '--output_dir', '--split_type': '--splits'}
FOLDERS = ('images, labels and lists are found below --raw_dir, the unpacked dataset, by the layout of --dataset; '
           '`python -m datasets.new` writes a row for data of your own')
INSTEAD = {
    **dict.fromkeys(('--image_folder', '--semantic_segmentation_folder', '--list_folder', '--train_image_folder',
                     '--train_image_label_folder', '--val_image_folder', '--val_image_label_folder',
                     '--test_image_folder', '--test_image_label_folder', '--train_image_path', '--train_label_path',
                     '--val_image_path', '--val_label_path', '--image_data_dir', '--label_data_dir',
                     '--input_pattern', '--annot_pattern'), FOLDERS),
    **dict.fromkeys(('--train_data_list', '--valid_data_list'), 'the dataset has its lists: --splits train val'),
    **dict.fromkeys(('--image_format', '--label_format', '--segmentation_format'), 'files say what they are'),
    '--original_gt_folder': 'labels with a palette are read as ids, from --raw_dir, so colour maps can stay'}

# Hidden, so that nothing takes the shards in it for finished ones.
WORK = '.converting'
FULL = (errno.ENOSPC, errno.EDQUOT)
NUM_SHARDS = 4


def convert(dataset: Dataset, raw_dir: str | Path, output_dir: str | Path, splits: Sequence[str] = (), *,
            num_shards: int = NUM_SHARDS, workers: int | None = None, overwrite: bool = False) -> dict[str, dict]:
    """Converts the splits (all that raw_dir has, when none is named) and returns their manifests.

    Every file is checked before what output_dir holds is touched; one ValueError lists all that can't be converted. The
    bytes written depend on the data and num_shards only, not on the number of workers (default: one per core). After an
    interruption the same call goes on with the shards that were finished; errors leave nothing behind.
    """
    raw_dir, output_dir = Path(raw_dir), Path(output_dir)
    workers = workers or os.cpu_count() or 1
    # With none at all the first split goes on, to fail with what was looked for.
    splits = tuple(dict.fromkeys(splits)) or present_splits(dataset, raw_dir) or tuple(dataset.splits)[:1]
    if not overwrite:
        _refuse_existing(output_dir, splits)
    pairs, problems = _find_all(dataset, raw_dir, splits)
    with _working(output_dir) as work:
        manifests = {}
        for split in splits:
            folder = work / split
            folder.mkdir(exist_ok=True)
            written = shards.write(dataset, split, pairs[split], folder, num_shards, workers)
            if written.num_kept:
                print(f'{dataset.name} {split}: kept {written.num_kept} shard(s) of the interrupted conversion',
                      file=sys.stderr)
            problems += written.problems
            if not problems:
                ids = [pair.id for pair in pairs[split]]
                manifests[split] = manifest.build(dataset, split, ids, written.pixels, written.entries)
                manifest.write(folder / manifest.file_name(split), manifests[split])
        _raise(problems)
        for split in splits:
            _publish(work / split, output_dir, split)
    return manifests


def _find_all(dataset: Dataset, raw_dir: Path, splits: Sequence[str]) -> tuple[dict[str, list[Pair]], list[Problem]]:
    found = {split: find_pairs(dataset, raw_dir, split) for split in splits}
    pairs = {split: pairs for split, (pairs, _) in found.items()}
    if any(pair.label.suffix == '.mat' for split in splits for pair in pairs[split]):
        matlab.require()
    problems = [problem for _, problems in found.values() for problem in problems]
    empty = [split for split in splits if not pairs[split]]
    if empty:
        _raise(problems)
    return pairs, problems


def _raise(problems: list[Problem]) -> None:
    # Splits overlap (trainval holds train), and a file needs naming once.
    problems = list(dict.fromkeys(problems))
    if problems:
        listed = '\n  '.join(map(str, problems))
        raise ValueError(f'nothing was written: {len(problems)} problem(s) in the data\n  {listed}')


@contextmanager
def _working(output_dir: Path) -> Iterator[Path]:
    """A folder in output_dir for unfinished work, of one process at a time.

    An interruption leaves it, to go on from there. Errors remove it, and output_dir too when it held nothing else.
    """
    work = output_dir / WORK
    work.mkdir(parents=True, exist_ok=True)
    lock = os.open(work, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise BlockingIOError(f'another conversion is writing to {output_dir}: wait for it, or give another '
                                  '--output_dir') from error
        try:
            yield work
        except Exception as error:
            _remove(work, output_dir)
            if isinstance(error, OSError) and error.errno in FULL and not error.filename:  # told when a file is closed
                hint = f'{error.strerror}: free some, or give another --output_dir'
                raise OSError(error.errno, hint, str(output_dir)) from error
            raise
        _remove(work, output_dir)
    finally:
        os.close(lock)


def _remove(work: Path, output_dir: Path) -> None:
    shutil.rmtree(work)
    if not any(output_dir.iterdir()):
        output_dir.rmdir()


def _refuse_existing(output_dir: Path, splits: Sequence[str]) -> None:
    existing = [path for split in splits for path in _published(output_dir, split)]
    if existing:
        raise ValueError(f'{existing[0]} exists: give another --output_dir, or --overwrite to replace '
                         f'{", ".join(splits)} in this one')


def _published(output_dir: Path, split: str) -> list[Path]:
    path = output_dir / manifest.file_name(split)
    return [*tfrecord.find_shards(output_dir, split), *([path] if path.exists() else [])]


def _publish(work: Path, output_dir: Path, split: str) -> None:
    """Replaces the split's files by those in `work`; the manifest goes last, so that a cut in between is noticed."""
    new = sorted((path for path in work.iterdir() if path.suffix != shards.JOURNAL),
                 key=lambda path: path.name == manifest.file_name(split))
    names = {path.name for path in new}
    for old in _published(output_dir, split):
        if old.name not in names:
            old.unlink()
    for path in new:
        os.replace(path, output_dir / path.name)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    manifests = convert(rows.load(options.dataset), options.raw_dir, options.output_dir, options.splits,
                        num_shards=options.num_shards, workers=options.workers, overwrite=options.overwrite)
    for split, written in manifests.items():
        _report(split, written, options.output_dir)
    return DONE


def _report(split: str, written: dict, output_dir: str) -> None:
    name, count, published = written['dataset'], written['num_examples'], written['published_num_examples']
    if written['num_images'] != published:
        print(f'warning: {name} {split} has {written["num_images"]} images, not the published {published}',
              file=sys.stderr)
    megabytes = sum(shard['bytes'] for shard in written['shards']) / 1e6
    print(f'{name} {split}: {count} examples, {len(written["shards"])} shards, {megabytes:.1f} MB in {output_dir}')


def _parser() -> Parser:
    parser = Parser('datasets.convert', __doc__, FORMERLY, INSTEAD)
    parser.add_argument('--dataset', required=True, help=f'{", ".join(rows.names())}, or the path of a .toml row')
    parser.add_argument('--raw_dir', required=True, help='the unpacked dataset')
    parser.add_argument('--output_dir', required=True, help='where the shards and manifests go')
    parser.add_argument('--splits', nargs='+', default=(), help='default: every split that raw_dir has')
    parser.add_argument('--num_shards', type=positive, default=NUM_SHARDS, help='per split; default %(default)s')
    parser.add_argument('--workers', type=positive, help='processes; default one per core')
    parser.add_argument('--overwrite', action='store_true', help='replace what output_dir holds of these splits')
    return parser


if __name__ == '__main__':
    sys.exit(guarded(main))

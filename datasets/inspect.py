"""Shows what a dataset holds, raw or as records.

    python -m datasets.inspect --dataset NAME --raw_dir DIR --output_dir look
    python -m datasets.inspect --record_dir records/NAME --output_dir look

For each split: a contact sheet, a sheet of the worst examples, charts of classes and sizes, and a table with class
weights.
"""

import argparse
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from console.command import Parser, positive
from console.exits import DONE, guarded
from console.files import whole
from console.progress import Progress
from datasets import row as rows
from datasets import verify
from datasets.look import charts, sheets
from datasets.look import tally as tallies
from datasets.look.sources import Raw, Records
from datasets.look.tally import Tally
from datasets.raw import layouts
from datasets.records.checks import Good

TOLD = 20


def inspect(source: Raw | Records, split: str, output_dir: Path, *, num_images: int, seed: int, workers: int) -> str:
    """Writes the pictures of a split to output_dir and returns the text; ValueError when nothing can be read."""
    dataset = source.dataset
    tally, names, problems = _scan(source, split, workers)
    if not names:
        raise ValueError('\n  '.join([f'{dataset.name} {split}: no example can be read', *problems[:TOLD]]))
    key = sheets.Key(dataset.class_names, dataset.palette, dataset.ignore_label)
    chosen = np.random.RandomState(seed).permutation(sorted(names))[:num_images].tolist()
    pages = {'sheet': [(position, '') for position in chosen], 'worst': tally.worst(num_images)}
    written = []
    for kind, shown in pages.items():
        if shown:
            written.append(output_dir / f'{split}_{kind}.png')
            with whole(written[-1]) as aside:
                sheets.sheet([_picture(source, names, *one) for one in shown], key).save(aside, 'png')
    written += [output_dir / f'{split}_classes.png', output_dir / f'{split}_sizes.png']
    charts.class_chart(written[-2], tally, dataset.class_names, dataset.palette)
    charts.size_chart(written[-1], tally)
    parts = [f'{dataset.name} {split}: {tallies.summary(tally)}', _told('worst', [
        f'{names[position]}: {reason}' for position, reason in tally.worst(num_images)])]
    if problems:
        parts.append(_told(f'{len(problems)} problem(s), whose examples are not counted', problems))
    parts += ['', tallies.table(tally, dataset.class_names), '', f'wrote {", ".join(map(str, written))}']
    return '\n'.join(parts)


def _told(what: str, lines: Sequence[str]) -> str:
    more = [f'and {len(lines) - TOLD} more'] if len(lines) > TOLD else []
    return '\n  '.join([f'{what}:', *(lines[:TOLD] or ['none']), *more])


def _scan(source: Raw | Records, split: str, workers: int) -> tuple[Tally, dict[int, str], list[str]]:
    """The tally and the names of the good examples by position, and all problems."""
    tally = Tally(source.dataset.num_classes, source.dataset.ignore_label)
    names, problems = {}, [str(problem) for problem in source.problems]
    with Progress(len(source), f'reading {split}') as progress:
        for position, found in enumerate(source.scan(workers)):
            progress.update()
            if isinstance(found, Good):
                names[position] = found.name or f'#{position}'
                tally.add(position, found.size, found.pixels)
            else:
                problems.append(str(found))
    return tally, names, problems


def _picture(source: Raw | Records, names: dict[int, str], position: int, why: str) -> sheets.Picture:
    image, ids = source.read(position)
    height, width = ids.shape
    return sheets.Picture(f'{names[position]}  {width}x{height}  {why}', image, ids)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    for split, source in _sources(options):
        print(inspect(source, split, Path(options.output_dir), num_images=options.num_images, seed=options.seed,
                      workers=options.workers or os.cpu_count() or 1))
    return DONE


def _sources(options: argparse.Namespace) -> Iterator[tuple[str, Raw | Records]]:
    """(split, source) of each split asked for, or of all that are there."""
    if bool(options.record_dir) == bool(options.raw_dir):
        raise ValueError('give --record_dir, or --raw_dir and --dataset')
    dataset = rows.load(options.dataset) if options.dataset else None
    make: Callable[[str], Raw | Records]
    if options.record_dir:
        folder = Path(options.record_dir)
        splits = options.splits or verify.present_splits(folder)
        make = functools.partial(Records, folder, dataset=dataset)
    else:
        if not dataset:
            raise ValueError('--raw_dir needs --dataset')
        folder = Path(options.raw_dir)
        splits = options.splits or layouts.present_splits(dataset, folder)
        make = functools.partial(Raw, dataset, folder)
    if not splits:
        raise ValueError(f'{folder} has no split{f" of {dataset.name}" if dataset else ""}')
    for split in splits:
        yield split, make(split)


def _parser() -> Parser:
    parser = Parser('datasets.inspect', __doc__, formerly={'--data_dir': '--raw_dir'})
    parser.add_argument('--dataset', help=f'{", ".join(rows.names())}, or the path of a .toml row')
    parser.add_argument('--raw_dir', help='the unpacked dataset')
    parser.add_argument('--record_dir', help='or what `python -m datasets.convert` wrote')
    parser.add_argument('--output_dir', required=True, help='where the pictures go')
    parser.add_argument('--splits', nargs='+', default=(), help='default: every split that is there')
    parser.add_argument('--num_images', type=positive, default=12, help='of a contact sheet; default %(default)s')
    parser.add_argument('--seed', type=int, default=0, help='draws the images that are shown')
    parser.add_argument('--workers', type=positive, help='processes; default one per core')
    return parser


if __name__ == '__main__':
    sys.exit(guarded(main))

"""Writes a row for your own images and masks, to edit and convert with.

    python -m datasets.new FOLDER --output mine.toml

Pairs are made by name. The row says in comments what was guessed.
"""

import os
import re
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from console.command import Parser, positive
from console.exits import DONE, guarded
from console.parallel import ordered_map
from console.progress import Progress
from datasets import row as rows
from datasets.guess import classes, folders, rowtext, values
from datasets.guess.folders import Group, Match
from datasets.guess.values import Color, Mask
from datasets.raw import layouts

PROBLEMS_TOLD = 10
# The converter of xlmou/Semantic-Segmentation-TensorFlow has these, as --train-image-path.
FOLDERS = ('train_image_path', 'train_label_path', 'val_image_path', 'val_label_path')


def new(root: Path, output: Path, splits: dict[str, Match], unsure: list[str], workers: int = 1) -> str:
    """Writes the row of the splits below root, and returns what to tell; ValueError when no mask can be read."""
    names = sorted({name for match in splits.values() for name in match.label.classes})
    chosen = classes.one_hot(names) if names else _from_values(root, splits, workers)
    unsure = [*unsure, *chosen.unsure]
    rowtext.write(output, rowtext.row(root, splits, chosen, unsure))
    unpaired, counts = _paired(output, root, splits)
    rowtext.write(output, rowtext.row(root, splits, chosen, [*unsure, *unpaired], counts))
    told = '\n  '.join([*unsure, *unpaired] or ['nothing'])
    pairs = ', '.join(f'{split} {count} pairs' for split, count in counts.items())
    where = f'--dataset {shlex.quote(str(output))} --raw_dir {shlex.quote(str(root))}'
    return (f'{output}: {len(chosen.entries)} classes, {pairs}\nunsure of:\n  {told}\nedit the row, look at it, then '
            f'convert:\n  python -m datasets.inspect {where} --output_dir look\n'
            f'  python -m datasets.convert {where} --output_dir records')


def _from_values(root: Path, splits: dict[str, Match], workers: int) -> classes.Choice:
    """Classes by what all masks hold."""
    paths = [root / folders.path_of(match.label, name) for match in splits.values() for name in match.label.names]
    with Progress(len(paths), 'reading masks') as progress:
        found = values.gather(paths, _counted(ordered_map(values.look, paths, workers), progress))
    told = [f'{path}: {reason}' for path, reason in found.unreadable[:PROBLEMS_TOLD]]
    if len(found.unreadable) > PROBLEMS_TOLD:
        told.append(f'{len(found.unreadable) - PROBLEMS_TOLD} more masks that cannot be read')
    if not found.pixels:
        listed = '\n  '.join(told)
        raise ValueError(f'none of the {len(paths)} masks can be read:\n  {listed}')
    chosen = classes.choose(found, classes.names_below(root))
    chosen.unsure += told
    return chosen


def _counted(results: Iterable[Mask | str], progress: Progress) -> Iterator[Mask | str]:
    for result in results:
        progress.update()
        yield result


def _paired(output: Path, root: Path, splits: dict[str, Match]) -> tuple[list[str], dict[str, int]]:
    """What the row itself finds: files without partner, and the number of pairs of each split."""
    dataset, told, counts = rows.load(output), [], {}
    for split in splits:
        pairs, problems = layouts.find_pairs(dataset, root, split)
        counts[split] = len(pairs)
        told += [f'{split}: {problem}' for problem in problems[:PROBLEMS_TOLD]]
        if len(problems) > PROBLEMS_TOLD:
            told.append(f'{split}: {len(problems) - PROBLEMS_TOLD} more such files')
    return told, counts


def guess_splits(root: Path) -> tuple[dict[str, Match], list[str]]:
    """The splits below root, and what is unsure about them; ValueError when there are no images with masks."""
    found = folders.groups(root)
    if not found:
        raise ValueError(f'{root} has no files of {", ".join(folders.SUFFIXES)}')
    label_groups = [group for group in found if folders.is_label(root, group)]
    image_groups = [group for group in found if group not in label_groups]
    label_groups = folders.one_hot(root, label_groups)
    matches: dict[Group, list[Match]] = {}
    for image in image_groups:
        matches[image] = [match for label in label_groups if (match := folders.match(image, label)).pairs
                          and (image.split == label.split or not label.split)]
    splits: dict[str, Match] = {}
    unsure = []
    for image, made in sorted(matches.items(), key=lambda item: -max((match.pairs for match in item[1]), default=0)):
        if not made:
            unsure.append(f'{image.folder}: {len(image.names)} images that no masks are named like, left out')
            continue
        best, *others = sorted(made, key=lambda match: _preference(root, match))
        unsure += [f'{_what(other.label)} would pair with {_what(image)} as well as {_what(best.label)}'
                   for other in others if other.pairs == best.pairs]
        split = image.split or 'train'
        if split in splits:
            unsure.append(f'{_what(image)} looks like {split} too, left out: {_what(splits[split].image)} is it')
            continue
        splits[split] = best
    if not splits:
        raise ValueError(_nothing(root, found, label_groups))
    unsure += _ours(root)
    used = {match.label for match in splits.values()}
    unsure += [f'{_what(group)} looks like masks, left out' for group in label_groups
               if group not in used and not any(group.folder in line for line in unsure)]
    return _in_order(splits), unsure + _about_splits(splits)


def _preference(root: Path, match: Match) -> tuple[int, bool, int, str]:
    """Most pairs first, then files of ids before those of colours, and fewer ids before more (classes, instances)."""
    mask = values.look(root / folders.path_of(match.label, match.label.names[0]))
    colored = isinstance(mask, str) or any(not isinstance(value, int) for value in mask.pixels)
    return -match.pairs, colored, 0 if isinstance(mask, str) else max(map(_size, mask.pixels)), match.label.folder


def _size(value: int | Color) -> int:
    return value if isinstance(value, int) and value != classes.VOID else 0


def _in_order(splits: dict[str, Match]) -> dict[str, Match]:
    order = ('train', 'trainval', 'val', 'test')
    return {split: splits[split] for split in sorted(splits, key=lambda split: (order.index(split), split))}


def _ours(root: Path) -> list[str]:
    """Rows that ship with the project and find their files here."""
    return [f'the files lie as those of {name}: if it is that, no row is needed, give --dataset {name}'
            for name in rows.names() if layouts.present_splits(rows.load(name), root)]


def _about_splits(splits: dict[str, Match]) -> list[str]:
    if 'val' in splits:
        return []
    return [(f'no folder is named like validation: there are only {", ".join(splits)}. Move some pairs to folders of '
             'their own and give them a [splits.val]')]


def _what(group: Group) -> str:
    return f'{group.folder}/{group.names[0].rpartition("/")[2]}...'


def _nothing(root: Path, found: Sequence[Group], label_groups: Sequence[Group]) -> str:
    listed = '\n  '.join(f'{_what(group)}: {len(group.names)} {"masks" if group in label_groups else "images"}'
                         for group in found[:PROBLEMS_TOLD])
    return (f'{root}: no images and masks have the same names; found\n  {listed}\nname a mask like its image, or give '
            'the folders: --train_image_path images --train_label_path masks')


def given_splits(given: dict[str, str]) -> tuple[Path, dict[str, Match]]:
    """The root and splits of folders given one by one; ValueError when they don't pair."""
    missing = [path for path in given.values() if not Path(path).is_dir()]
    if missing:
        raise ValueError(f'{missing[0]} is not a folder')
    root = Path(os.path.commonpath([os.path.abspath(path) for path in given.values()]))
    splits = {}
    for split in ('train', 'val'):
        image_path, label_path = (given.get(f'{split}_{kind}_path') for kind in ('image', 'label'))
        if not image_path and not label_path:
            continue
        if not image_path or not label_path:
            raise ValueError(f'give both --{split}_image_path and --{split}_label_path')
        image, label = (_group_of(root, Path(path)) for path in (image_path, label_path))
        splits[split] = folders.match(image, label)
        if not splits[split].pairs:
            raise ValueError(f'{image_path} ({image.names[0]}...) and {label_path} ({label.names[0]}...) have no names '
                             'in common: a mask must be named like its image')
    return root, splits


def _group_of(root: Path, folder: Path) -> Group:
    names = sorted(name for name in os.listdir(folder)
                   if name.lower().endswith(folders.SUFFIXES) and not name.startswith('.'))
    if not names:
        raise ValueError(f'{folder} has no files of {", ".join(folders.SUFFIXES)}')
    return Group(Path(os.path.abspath(folder)).relative_to(root).as_posix(), tuple(names))


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    given = {name: value for name in FOLDERS if (value := getattr(options, name))}
    if bool(given) == bool(options.path):
        raise ValueError('give a folder PATH, or the folders of images and masks')
    if given:
        root, splits = given_splits(given)
        unsure: list[str] = []
    else:
        root = Path(options.path)
        if not root.is_dir():
            raise ValueError(f'{root} is not a folder')
        splits, unsure = guess_splits(root)
    output = Path(options.output or re.sub(r'\W+', '_', os.path.basename(os.path.abspath(root))).lower() + '.toml')
    if output.suffix != '.toml':
        raise ValueError(f'{output}: a row is a .toml file')
    if output.exists() and not options.overwrite:
        raise ValueError(f'{output} exists: give another --output, or --overwrite')
    print(new(root, output, splits, unsure, options.workers or os.cpu_count() or 1))
    return DONE


def _parser() -> Parser:
    parser = Parser('datasets.new', __doc__)
    parser.add_argument('path', nargs='?', help='the folder that holds images and masks')
    for name in FOLDERS:
        parser.add_argument(f'--{name}', f'--{name.replace("_", "-")}', help='instead of PATH')
    parser.add_argument('--output', help='the row; default: named like the folder, here')
    parser.add_argument('--overwrite', action='store_true', help='replace the row')
    parser.add_argument('--workers', type=positive, help='processes; default one per core')
    return parser


if __name__ == '__main__':
    sys.exit(guarded(main))

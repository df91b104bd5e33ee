"""Layouts whose splits are list files: of ids, or of image and label paths."""

import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from datasets.raw.pairs import Pair, Problem
from datasets.row import Dataset

Found = tuple[Path, Path]
# A line of a list -> the pair, or what is wrong with the line.
OfLine = Callable[[Dataset, Path, str, str], Pair | str]


def candidates(dataset: Dataset, raw_dir: Path, split: str) -> list[str]:
    """The paths at which the split's list is looked for, and together those of the lists that it can be made of."""
    own, roots = dataset.splits[split], dataset.layout.roots
    made_of = [' with '.join(str(raw_dir / root / name) for name in (*own.union, *own.less)) for root in roots]
    return [str(path) for _, path in _candidates(dataset, raw_dir, split)] + (made_of if own.union else [])


def locate(dataset: Dataset, raw_dir: Path, split: str) -> Found | None:
    """The first root that has the split's list, and the list."""
    found = next((found for found in _candidates(dataset, raw_dir, split) if found[1].is_file()), None)
    return found or _combined(dataset, raw_dir, split)


def _combined(dataset: Dataset, raw_dir: Path, split: str) -> Found | None:
    """The first root that has all lists of a split that is made of others."""
    own = dataset.splits[split]
    for root in dataset.layout.roots if own.union else ():
        if all((raw_dir / root / name).is_file() for name in (*own.union, *own.less)):
            return raw_dir / root, raw_dir / root / own.union[0]
    return None


def _candidates(dataset: Dataset, raw_dir: Path, split: str) -> Iterator[Found]:
    for root in dataset.layout.roots:
        for template in dataset.layout.list:
            yield raw_dir / root, raw_dir / root / template.format(split=dataset.folder(split))


def _pairs(of_line: OfLine, dataset: Dataset, split: str, found: Found) -> tuple[list[Pair], list[Problem]]:
    root, list_path = found
    pairs, problems = [], []
    combined = list_path == root / (dataset.splits[split].union or ('',))[0]
    for number, line in _combination(dataset, root, split) if combined else _lines(list_path):
        pair = of_line(dataset, root, split, line)
        if isinstance(pair, str):
            problems.append(Problem(f'{list_path}:{number}', pair))
        else:
            pairs.append(pair)
    if not pairs and not problems:
        raise ValueError(f'{list_path} names no images')
    return pairs, problems + _repeated(pairs, list_path)


def _combination(dataset: Dataset, root: Path, split: str) -> Iterator[tuple[int, str]]:
    own = dataset.splits[split]
    union, less = ({line for name in names for _, line in _lines(root / name)} for names in (own.union, own.less))
    return enumerate(sorted(union - less), start=1)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    # 'utf-8-sig' and strip: lists edited on Windows have a byte-order mark and CRLF.
    try:
        text = path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: not UTF-8 text') from error
    for number, line in enumerate(text.split('\n'), start=1):
        if line.strip():
            yield number, line.strip()


def _below(root: Path, name: str) -> Path | None:
    """root/name, or None when a list tries to leave root; symbolic links are the user's own business."""
    path = os.path.normpath(root / name)
    return Path(path) if Path(path).is_relative_to(os.path.normpath(root)) else None


def _id_pair(dataset: Dataset, root: Path, split: str, line: str) -> Pair | str:
    """A list of ids, one a line: paths come from the row's templates."""
    paths = []
    for templates in dataset.templates(split):
        named = [_below(root, template.format(split=dataset.folder(split), id=line)) for template in templates]
        within = [path for path in named if path]
        if len(within) < len(named):
            return f'{line!r} leads out of {root}'
        paths.append(_present(within))
    return Pair(line, *paths)


def _present(paths: list[Path]) -> Path:
    """The first that exists, or else the first whose folder does."""
    there = (path for exists in (Path.is_file, lambda path: path.parent.is_dir()) for path in paths if exists(path))
    return paths[0] if len(paths) == 1 else next(there, paths[-1])


def _listed_pair(dataset: Dataset, root: Path, split: str, line: str) -> Pair | str:
    """A list of 'image label' paths, one pair a line."""
    names = [name.removeprefix(dataset.layout.prefix) for name in line.split()]
    if len(names) != 2:
        return f'holds {len(names)} paths, not an image and a label'
    image, label = (_below(root, name) for name in names)
    if image is None or label is None:
        return f'{line!r} leads out of {root}'
    return Pair(image.relative_to(os.path.normpath(root)).with_suffix('').as_posix(), image, label)


def _repeated(pairs: list[Pair], list_path: Path) -> list[Problem]:
    seen, problems = set(), []
    for pair in pairs:
        if pair.id in seen:
            problems.append(Problem(list_path, f'lists {pair.id!r} more than once'))
        seen.add(pair.id)
    return problems


pairs_of_ids = functools.partial(_pairs, _id_pair)
pairs_of_paths = functools.partial(_pairs, _listed_pair)

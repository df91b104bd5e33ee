"""Finds the image and label files of a split, paired by name."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datasets.registry import Dataset, Layout


class Pair(NamedTuple):
    """An example before conversion; `id` is its file name in the records."""

    id: str
    image: Path
    label: Path


class Problem(NamedTuple):
    """A file that can't be converted, and why."""

    path: Path | str
    reason: str

    def __str__(self) -> str:
        return f'{self.path}: {self.reason}'


def present_splits(dataset: Dataset, data_dir: Path) -> tuple[str, ...]:
    """The dataset's splits that have a list below data_dir."""
    return tuple(split for split in dataset.splits if _find_list(dataset, data_dir, split))


def find_pairs(dataset: Dataset, data_dir: Path, split: str) -> tuple[list[Pair], list[Problem]]:
    """All pairs of a split in list order, and every problem of its list; whether their files exist isn't looked at.

    ValueError when there is no such split or list.
    """
    if dataset.layout.kind not in LAYOUTS:
        raise ValueError(f'{dataset.name} has layout {dataset.layout.kind!r}: choose from {", ".join(LAYOUTS)}')
    if split not in dataset.splits:
        raise ValueError(f'{dataset.name} has no split {split!r}: choose from {", ".join(dataset.splits)}')
    found = _find_list(dataset, data_dir, split)
    if not found:
        candidates = [str(path) for _, path in _list_candidates(dataset.layout, data_dir, split)]
        present = ', '.join(present_splits(dataset, data_dir)) or 'none'
        raise ValueError(f'{data_dir} has no list of {dataset.name} {split}: looked for {", ".join(candidates)}; '
                         f'splits that are there: {present}')
    root, list_path = found
    pairs, problems = [], []
    for number, line in _lines(list_path):
        pair = LAYOUTS[dataset.layout.kind](dataset, root, split, line)
        if isinstance(pair, str):
            problems.append(Problem(f'{list_path}:{number}', pair))
        else:
            pairs.append(pair)
    if not pairs and not problems:
        raise ValueError(f'{list_path} names no images')
    return pairs, problems + _repeated(pairs, list_path)


def _list_candidates(layout: Layout, data_dir: Path, split: str) -> Iterator[tuple[Path, Path]]:
    for root in layout.roots:
        for template in layout.list:
            yield data_dir / root, data_dir / root / template.format(split=split)


def _find_list(dataset: Dataset, data_dir: Path, split: str) -> tuple[Path, Path] | None:
    return next((found for found in _list_candidates(dataset.layout, data_dir, split) if found[1].is_file()), None)


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
    own = dataset.splits[split]
    paths = []
    for templates in (own.image or dataset.layout.image, own.label or dataset.layout.label):
        path = _below(root, _present(root, templates).format(split=split, id=line))
        if path is None:
            return f'{line!r} leads out of {root}'
        paths.append(path)
    return Pair(line, *paths)


def _present(root: Path, templates: tuple[str, ...]) -> str:
    folders = ((root / template).parent for template in templates)
    return next((template for template, folder in zip(templates, folders, strict=True) if folder.is_dir()),
                templates[-1])


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


LAYOUTS = {'id_list': _id_pair, 'pair_list': _listed_pair}

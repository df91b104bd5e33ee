"""Finds the image and label files of a split, paired by name."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from console.choices import choose
from datasets.raw import lists, patterns
from datasets.raw.pairs import Pair, Problem
from datasets.row import Dataset


class Kind(NamedTuple):
    """A way to find a split's files; `locate` returns what `pairs` starts from, or None when the split isn't there."""

    what: str
    candidates: Callable[[Dataset, Path, str], list[str]]
    locate: Callable[[Dataset, Path, str], Any]
    pairs: Callable[[Dataset, str, Any], tuple[list[Pair], list[Problem]]]


LAYOUTS = {
    'id_list': Kind('list', lists.candidates, lists.locate, lists.pairs_of_ids),
    'pair_list': Kind('list', lists.candidates, lists.locate, lists.pairs_of_paths),
    'pattern': Kind('images', patterns.candidates, patterns.locate, patterns.pairs),
}


def present_splits(dataset: Dataset, raw_dir: Path) -> tuple[str, ...]:
    """The dataset's splits that raw_dir has, without those that are converted on request only."""
    locate = _kind(dataset).locate
    return tuple(split for split, own in dataset.splits.items()
                 if not own.on_request and not own.parts and locate(dataset, raw_dir, split))


def find_pairs(dataset: Dataset, raw_dir: Path, split: str) -> tuple[list[Pair], list[Problem]]:
    """All pairs of a split in the order of its list or of its names, and every problem with them.

    Whether the files that a list names exist isn't looked at. ValueError when there is no such split or nothing of it.
    """
    kind = _kind(dataset)
    own = choose(f'split of {dataset.name}', split, dataset.splits)
    if own.parts:
        parts = [find_pairs(dataset, raw_dir, part) for part in own.parts]
        return [pair for pairs, _ in parts for pair in pairs], [problem for _, found in parts for problem in found]
    found = kind.locate(dataset, raw_dir, split)
    if not found:
        candidates = ', '.join(kind.candidates(dataset, raw_dir, split))
        present = ', '.join(present_splits(dataset, raw_dir)) or 'none'
        raise ValueError(f'{raw_dir} has no {kind.what} of {dataset.name} {split}: looked for {candidates}; '
                         f'splits that are there: {present}')
    pairs, problems = kind.pairs(dataset, split, found)
    only = re.compile(own.only or '.*')
    chosen = [pair for pair in pairs if only.fullmatch(pair.id)]
    if pairs and not chosen:
        raise ValueError(f'{raw_dir}: no name of {dataset.name} {split} matches {only.pattern!r}')
    return chosen, problems


def _kind(dataset: Dataset) -> Kind:
    return choose(f'layout.kind of {dataset.name}', dataset.layout.kind, LAYOUTS)

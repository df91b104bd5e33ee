"""What layouts find: pairs of files, and what is wrong with the rest."""

from pathlib import Path
from typing import NamedTuple


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

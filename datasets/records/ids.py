"""Which ids the labels of records may hold."""

from collections.abc import Iterable
from typing import NamedTuple

from datasets.row import Dataset


class LegalIds(NamedTuple):
    """Classes 0 .. num_classes - 1 and the label that is ignored."""

    num_classes: int
    ignore_label: int

    def __str__(self) -> str:
        return f'classes are 0..{self.num_classes - 1}, ignored is {self.ignore_label}'

    def others(self, values: Iterable[int]) -> list[int]:
        """Those of the values that are neither."""
        return [value for value in values if value >= self.num_classes and value != self.ignore_label]


def legal_ids(manifest: dict | None, dataset: Dataset | None = None) -> LegalIds | None:
    """What the manifest says, or else the dataset; None when there is neither, and any id may be one."""
    if manifest:
        return LegalIds(len(manifest['class_names']), manifest['ignore_label'])
    return LegalIds(dataset.num_classes, dataset.ignore_label) if dataset else None

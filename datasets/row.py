"""What a dataset is, read from one TOML row: classes, colours, ignored ids, splits and layout."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

from console.choices import choose, refuse_unknown

ROWS = Path(__file__).parent / 'rows'
KEYS = ('title', 'url', 'licence', 'unpack', 'ignore_label', 'classes', 'ids', 'layout', 'splits', 'exif', 'labels',
        'ignore_colors', 'variable', 'tiles')
LABELS = ('ids', 'colors', 'one_hot')
EXIF = ('agree', 'as_stored')


@dataclass(frozen=True)
class Layout:
    """Where a dataset's files are, as templates of `{split}` and `{id}` below the first of `roots` that has them.

    `kind` is 'id_list', 'pair_list' or 'pattern' (datasets.raw.layouts). Of several templates the first whose file
    (`list`, and all of a 'pattern') or folder (`image`, `label`) exists is taken. `prefix` is what the paths written in
    a 'pair_list' begin with on their author's machine.
    """

    kind: str
    roots: tuple[str, ...] = ('.',)
    list: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    prefix: str = ''


@dataclass(frozen=True)
class Split:
    """The published number of images, the `{split}` of templates where it isn't the split's name, and own templates.

    Without a list of its own a split can be the ids of all lists of `union` that are in none of `less`. `only` is a
    regular expression that its ids match. `parts` are splits that it joins. With `on_request` it is converted only when
    it's named, since others hold the same images.
    """

    num_images: int
    folder: str = ''
    image: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    union: tuple[str, ...] = ()
    less: tuple[str, ...] = ()
    only: str = ''
    parts: tuple[str, ...] = ()
    on_request: bool = False


@dataclass(frozen=True)
class Tiles:
    """Images are cut into squares of `size` pixels, of which neighbours share `overlap` or, at the border, more."""

    size: int
    overlap: int = 0


@dataclass(frozen=True)
class Dataset:
    """A dataset; `palette` holds one RGB colour per class, and `ids` maps raw label ids that are not class ids.

    `categories` names the group of each class where a benchmark scores groups too; it may be empty.

    An `ids` that leads to every class is the whole truth: label files may then hold no other id. `unpack` tells users
    what to fetch and where to unpack it. `exif` 'agree' refuses images that EXIF turns so that nothing tells whether
    the labels were drawn on the turned ones; 'as_stored' says that they were drawn on the pixels as stored.

    `labels` says what label files hold: 'ids'; 'colors', those of `palette` and, to be ignored, `ignore_colors`; or
    'one_hot', a file for each '{class}' of the label's template. `variable` is where a '.mat' file has its ids.
    """

    name: str
    title: str
    url: str
    licence: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    ignore_label: int
    ids: Mapping[int, int]
    splits: Mapping[str, Split]
    layout: Layout
    unpack: str = ''
    exif: str = 'agree'
    categories: tuple[str, ...] = ()
    labels: str = 'ids'
    ignore_colors: tuple[tuple[int, int, int], ...] = ()
    variable: str = ''
    tiles: Tiles | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def legal_ids(self) -> Mapping[int, int]:
        """Every raw id that a label file may hold -> class id or ignore label."""
        classes = range(self.num_classes)
        if set(classes) <= set(self.ids.values()):
            return self.ids
        return {**{label: label for label in (*classes, self.ignore_label)}, **self.ids}

    @property
    def raw_ids(self) -> tuple[int, ...]:
        """The raw id of each class, as benchmarks want predictions: the first where `ids` joins several."""
        first = {label: raw for raw, label in reversed([*self.legal_ids.items()])}
        return tuple(first[label] for label in range(self.num_classes))

    def folder(self, split: str) -> str:
        """What `{split}` is in the templates."""
        return self.splits[split].folder or split

    def templates(self, split: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The templates of the split's images and of its labels."""
        own = self.splits[split]
        return own.image or self.layout.image, own.label or self.layout.label


Fields = TypeVar('Fields', Layout, Split, Tiles)


def names() -> tuple[str, ...]:
    """The datasets that ship with the project."""
    return tuple(sorted(path.stem for path in ROWS.glob('*.toml')))


def load(name_or_path: str | Path) -> Dataset:
    """Reads a row by name, or any row by the path of its TOML; ValueError on an unknown name or a faulty row."""
    path = Path(name_or_path)
    if path.suffix != '.toml':
        path = _row_of(str(name_or_path))
    try:
        row = tomllib.loads(path.read_text(encoding='utf-8'))
        return _dataset(path.stem, row)
    except FileNotFoundError as error:
        raise ValueError(f'{path}: no such dataset row') from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        reason = f'{error} is missing' if isinstance(error, KeyError) else error
        raise ValueError(f'{path}: {reason}') from error


def _row_of(name: str) -> Path:
    return ROWS / f'{choose("dataset", name, names(), "or give the path of a .toml row")}.toml'


def _dataset(name: str, row: dict[str, Any]) -> Dataset:
    refuse_unknown('key of the row', row, KEYS)
    dataset = Dataset(
        name=name,
        title=row['title'],
        url=row['url'],
        licence=row['licence'],
        class_names=tuple(entry['name'] for entry in row['classes']),
        palette=tuple(tuple(entry.get('color', default_color(label))) for label, entry in enumerate(row['classes'])),
        ignore_label=row['ignore_label'],
        ids=_ids(row.get('ids', {})),
        splits={split: _fields(Split, entry, split) for split, entry in row['splits'].items()},
        layout=_fields(Layout, row['layout'], 'layout'),
        unpack=row.get('unpack', ''),
        exif=row.get('exif', 'agree'),
        categories=tuple(entry['category'] for entry in row['classes'] if 'category' in entry),
        labels=row.get('labels', 'ids'),
        ignore_colors=tuple(map(tuple, row.get('ignore_colors', ()))),
        variable=row.get('variable', ''),
        tiles=_fields(Tiles, row['tiles'], 'tiles') if 'tiles' in row else None,
    )
    _check(dataset)
    _check_labels(dataset)
    _check_splits(dataset)
    return dataset


def default_color(label: int) -> tuple[int, int, int]:
    """Pascal VOC's colour map, for classes without a published colour: bits of the id, spread over the channels."""
    red, green, blue = (sum((label >> (3 * bit + place) & 1) << (7 - bit) for bit in range(3)) for place in range(3))
    return red, green, blue


def _ids(entry: dict[str, int] | list[int]) -> dict[int, int]:
    """A table of raw id = label, or the labels of raw ids 0, 1, 2... as a list."""
    return dict(enumerate(entry)) if isinstance(entry, list) else {int(raw): label for raw, label in entry.items()}


def _fields(record: type[Fields], entry: dict[str, Any], where: str) -> Fields:
    refuse_unknown(f'key of {where}', entry, [field.name for field in fields(record)])
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return record(**values)


def _check(dataset: Dataset) -> None:
    if len(set(dataset.class_names)) != dataset.num_classes or not dataset.class_names:
        raise ValueError('class names must be unique and at least one')
    if dataset.num_classes > 255 or not 0 <= dataset.ignore_label <= 255:
        raise ValueError('records hold 8-bit ids: at most 255 classes, and ignore_label in 0..255')
    choose('exif', dataset.exif, EXIF)
    for name, color in zip(dataset.class_names, dataset.palette, strict=True):
        _check_color(f'color of class {name!r}', color)
    for color in dataset.ignore_colors:
        _check_color('one of ignore_colors', color)
    if len(dataset.categories) not in (0, dataset.num_classes):
        raise ValueError(f'{len(dataset.categories)} of {dataset.num_classes} classes have a category: give it to all '
                         f'or none')
    legal = {*range(dataset.num_classes), dataset.ignore_label}
    for raw, label in dataset.ids.items():
        if label not in legal:
            raise ValueError(f'ids maps {raw} to {label}, which is neither a class nor the ignore label')
    unreached = sorted({*range(dataset.num_classes)} - set(dataset.legal_ids.values()))
    if unreached:
        raise ValueError(f'ids leave no raw id for class {unreached[0]}, {dataset.class_names[unreached[0]]!r}')


def _check_color(what: str, color: tuple[int, ...]) -> None:
    if len(color) != 3 or not all(isinstance(value, int) and 0 <= value <= 255 for value in color):
        raise ValueError(f'{what} is {color}: give three integers in 0..255')


def _check_labels(dataset: Dataset) -> None:
    choose('labels', dataset.labels, LABELS)
    colors = [*dataset.palette, *dataset.ignore_colors]
    repeated = sorted({color for color in colors if colors.count(color) > 1})
    if dataset.labels == 'colors' and repeated:
        raise ValueError(f'labels are colours, and {repeated[0]} stands for two classes')
    for split in dataset.splits:
        for template in dataset.templates(split)[1]:
            if ('{class}' in template) != (dataset.labels == 'one_hot'):
                raise ValueError(f"label {template!r}: a '{{class}}' belongs to labels = 'one_hot', and to no other")
    if dataset.labels == 'one_hot' and dataset.layout.kind != 'pattern':
        raise ValueError("labels = 'one_hot' needs layout kind 'pattern'")


def _check_splits(dataset: Dataset) -> None:
    if dataset.tiles and not 0 <= dataset.tiles.overlap < dataset.tiles.size:
        raise ValueError(f'tiles of {dataset.tiles.size} cannot overlap by {dataset.tiles.overlap}')
    for name, split in dataset.splits.items():
        wrong = [part for part in split.parts if part not in dataset.splits or dataset.splits[part].parts]
        if wrong:
            raise ValueError(f'{name} joins {wrong[0]!r}, which is no split of its own')
        try:
            re.compile(split.only)
        except re.error as error:
            raise ValueError(f'only = {split.only!r} of {name} is no regular expression: {error}') from error

"""What a dataset is, read from one TOML row: classes, colours, ignored ids, splits and layout."""

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROWS = Path(__file__).parent / 'rows'


@dataclass(frozen=True)
class Layout:
    """Where a dataset's files are, as templates of `{split}` and `{id}` below the first of `roots` that has the list.

    Of several templates the first whose file (`list`) or folder (`image`, `label`) exists is taken. `prefix` is what
    the paths written in a 'pair_list' begin with on their author's machine.
    """

    kind: str
    roots: tuple[str, ...] = ('.',)
    list: tuple[str, ...] = ()
    image: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    prefix: str = ''


@dataclass(frozen=True)
class Split:
    """The published number of images, and templates where they differ from the layout's."""

    num_images: int
    image: tuple[str, ...] = ()
    label: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A dataset; `palette` holds one RGB colour per class and `ids` maps raw label ids that are not class ids."""

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

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


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
    if name in names():
        return ROWS / f'{name}.toml'
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f' (did you mean {near[0]}?)' if near else ''
    choices = ', '.join(names())
    raise ValueError(f'unknown dataset {name!r}{hint}: choose one of {choices}, or give the path of a .toml row')


def _dataset(name: str, row: dict) -> Dataset:
    _refuse_unknown(row, {'title', 'url', 'licence', 'ignore_label', 'classes', 'ids', 'layout', 'splits'}, 'row')
    dataset = Dataset(
        name=name,
        title=row['title'],
        url=row['url'],
        licence=row['licence'],
        class_names=tuple(entry['name'] for entry in row['classes']),
        palette=tuple(tuple(entry['color']) for entry in row['classes']),
        ignore_label=row['ignore_label'],
        ids={int(raw): label for raw, label in row.get('ids', {}).items()},
        splits={split: _fields(Split, entry, split) for split, entry in row['splits'].items()},
        layout=_fields(Layout, row['layout'], 'layout'),
    )
    _check(dataset)
    return dataset


def _fields(record: type, entry: dict, where: str):
    _refuse_unknown(entry, set(record.__dataclass_fields__), where)
    return record(**{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()})


def _refuse_unknown(table: dict, known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f'unknown key {unknown[0]!r} in {where}: choose from {", ".join(sorted(known))}')


def _check(dataset: Dataset) -> None:
    if len(set(dataset.class_names)) != dataset.num_classes or not dataset.class_names:
        raise ValueError('class names must be unique and at least one')
    if dataset.num_classes > 255 or not 0 <= dataset.ignore_label <= 255:
        raise ValueError('records hold 8-bit ids: at most 255 classes, and ignore_label in 0..255')
    for name, color in zip(dataset.class_names, dataset.palette, strict=True):
        if len(color) != 3 or not all(isinstance(value, int) and 0 <= value <= 255 for value in color):
            raise ValueError(f'color of class {name!r} is {color}: give three integers in 0..255')
    legal = {*range(dataset.num_classes), dataset.ignore_label}
    for raw, label in dataset.ids.items():
        if label not in legal:
            raise ValueError(f'ids maps {raw} to {label}, which is neither a class nor the ignore label')

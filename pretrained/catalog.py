"""The released checkpoints, read from catalog.toml: where they are and what was published for them."""

import dataclasses
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from console import checkout
from console.choices import choose, refuse_unknown

PREFIX = 'catalog:'  # of a checkpoint that is given by its name here
CATALOG = Path(__file__).parent / 'catalog.toml'
WEIGHTS = checkout.ROOT / 'pretrained' / 'weights' if checkout.ROOT else checkout.cache('weights')


@dataclass(frozen=True)
class Source:
    """A page that describes checkpoints; `verified` says whether URLs and figures were read there."""

    page: str
    licence: str
    verified: bool


@dataclass(frozen=True)
class Figure:
    """A published score in percent, with its protocol; `recipe` is the row that measures it here."""

    on: str
    mean_iou: float | None = None
    pixel_accuracy: float | None = None
    top_1: float | None = None
    top_5: float | None = None
    output_stride: int | None = None
    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    recipe: str = ''


@dataclass(frozen=True)
class Entry:
    """A checkpoint. `checkpoint` is its prefix inside the archive, `scope` that of the backbone's variables.

    `size` is as the page gives it; `bytes` and `sha256` of the archive, where somebody has published them.
    """

    name: str
    source: Source
    url: str
    scope: str
    trained_on: str
    checkpoint: str = ''
    backbone: str = ''  # a name of deeplab.backbones
    backbone_options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    size: str = ''
    bytes: int | None = None
    sha256: str = ''
    note: str = ''
    figures: tuple[Figure, ...] = ()

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return urlsplit(self.url).path.rpartition('/')[2]


def load(path: Path = CATALOG) -> dict[str, Entry]:
    """Every entry by name; ValueError names the file, the entry and what is wrong with it."""
    try:
        content = tomllib.loads(path.read_text(encoding='utf8'))
        sources = {name: _record(Source, row, name) for name, row in content['sources'].items()}
        return {name: _entry(name, row, sources) for name, row in content['checkpoints'].items()}
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f'{path}: {error}') from error


def find(name: str, entries: Mapping[str, Entry]) -> Entry:
    """The entry of that name; ValueError with the nearest names."""
    return choose('checkpoint of the catalog', name, entries, '`python -m pretrained.fetch --list` shows all')


def _entry(name: str, row: Mapping[str, Any], sources: Mapping[str, Source]) -> Entry:
    figures = tuple(_record(Figure, figure, f'{name}, figures') for figure in row.get('figures', ()))
    source = choose(f'{name}: source', row['source'], sources)
    entry = _record(Entry, {**row, 'name': name, 'source': source, 'figures': figures}, name)
    # Both become names of files and folders.
    for part in (entry.name, entry.archive):
        if not re.fullmatch(r'\w[\w.-]*', part):
            raise ValueError(f'{name}: {part!r} is not a plain file name')
    if urlsplit(entry.url).scheme not in ('http', 'https'):
        raise ValueError(f'{name}: url {entry.url!r} is not http or https')
    if entry.sha256 and not re.fullmatch('[0-9a-f]{64}', entry.sha256):
        raise ValueError(f'{name}: sha256 {entry.sha256!r} is not 64 hexadecimal digits')
    return entry


def _record(kind: type, row: Mapping[str, Any], where: str) -> Any:
    refuse_unknown(f'key of {where}', row, [field.name for field in dataclasses.fields(kind)])
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in row.items()})
    except TypeError as error:
        raise ValueError(f'{where}: {error}') from error

"""Makes records of pairs of files: what the workers of a conversion do."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from datasets.raw import images, labels
from datasets.raw.images import Stored
from datasets.raw.labels import Label
from datasets.raw.pairs import Pair, Problem
from datasets.records.tfrecord import Record
from datasets.row import Dataset, Tiles


class Checked(NamedTuple):
    """(height, width) and pixels per id (int64 [256]) of a pair or a tile."""

    size: tuple[int, int]
    pixels: np.ndarray


class Readable(NamedTuple):
    """The two of a pair, which are of the same pixels."""

    image: Stored
    label: Label


class Made(NamedTuple):
    """What is wrong with a pair, or its records and what was found in each."""

    problems: Sequence[Problem] = ()
    records: tuple[Record, ...] = ()
    checked: tuple[Checked, ...] = ()


def check_pair(dataset: Dataset, pair: Pair) -> Checked | list[Problem]:
    """Decodes a label in full, and its image where `images.read` does."""
    read = _read(dataset, pair)
    return Checked(read.image.size, read.label.pixels) if isinstance(read, Readable) else read


def make(dataset: Dataset, pair: Pair) -> Made:
    """Reads a pair and makes its record, or those of its tiles."""
    read = _read(dataset, pair)
    if not isinstance(read, Readable):
        return Made(read)
    image, label = read
    if not dataset.tiles:
        (encoded, image_format), (height, width) = image.encoded(), image.size
        record = Record(pair.id, encoded, image_format, height, width, label.encoded())
        return Made((), (record,), (Checked(image.size, label.pixels),))
    try:
        return _tiled(dataset.tiles, pair, image.pixels(), label.ids)
    except ValueError as error:
        return Made((Problem(pair.image, str(error)),))


def corners(length: int, tiles: Tiles) -> range | list[int]:
    """Where tiles begin along a side; the last ends with the image, so that all have their full size if it has."""
    if length <= tiles.size:
        return [0]
    return [*range(0, length - tiles.size, tiles.size - tiles.overlap), length - tiles.size]


def _read(dataset: Dataset, pair: Pair) -> Readable | list[Problem]:
    """A pair, or all that is wrong with it."""
    problems: list[Problem] = []
    image = label = None
    try:
        image = images.read(pair.image)
    except (ValueError, OSError) as error:
        problems.append(Problem(pair.image, _reason(error)))
    try:
        label = labels.load(pair.label, dataset)
    except (ValueError, OSError) as error:
        problems.append(Problem(pair.label, _reason(error)))
    if image is None or label is None:
        return problems
    return _disagreement(dataset, pair, image, label) or Readable(image, label)


def _disagreement(dataset: Dataset, pair: Pair, image: Stored, label: Label) -> list[Problem]:
    """An image and a label that aren't of the same pixels, or of which nothing tells whether they are.

    EXIF may have the image shown turned to those who drew the label. Where that swaps its sides the label's size tells;
    otherwise the row must say that labels are drawn on the pixels as stored.
    """
    turned = image.orientation if dataset.exif == 'agree' else 1
    (height, width), (rows, columns) = image.size, label.ids.shape
    if image.size != (rows, columns):
        why = '; EXIF turns the image: turn its pixels and remove the tag' if turned > 1 else ''
        return [Problem(pair.label, f'is {columns}x{rows} but its image {pair.image} is {width}x{height}{why}')]
    if turned > 1 and (turned < 5 or height == width):
        return [Problem(pair.image, f'EXIF has it shown mirrored or turned (orientation {turned}), and nothing tells '
                        "whether its label was drawn so: turn its pixels and remove the tag, or put exif = 'as_stored' "
                        'into the row')]
    return []


def _reason(error: Exception) -> str:
    return 'missing' if isinstance(error, FileNotFoundError) else getattr(error, 'strerror', None) or str(error)


def _tiled(tiles: Tiles, pair: Pair, rgb: np.ndarray, ids: np.ndarray) -> Made:
    made = [(record, Checked((record.height, record.width), labels.count(part)))
            for record, part in _tiles(tiles, pair, rgb, ids)]
    return Made((), *zip(*made, strict=True))


def _tiles(tiles: Tiles, pair: Pair, rgb: np.ndarray, ids: np.ndarray) -> Iterator[tuple[Record, np.ndarray]]:
    """The records of an image's tiles, named by their upper left corner, and their ids."""
    for top, left in product(*(corners(length, tiles) for length in ids.shape)):
        window = slice(top, top + tiles.size), slice(left, left + tiles.size)
        part = np.ascontiguousarray(ids[window])
        height, width = part.shape
        yield Record(f'{pair.id}_{top}_{left}', images.encode(rgb[window]), 'png', height, width,
                     labels.encode(part)), part

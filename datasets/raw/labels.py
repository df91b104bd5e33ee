"""Label images -> class ids, by what the file stores and never by how it looks.

A palette PNG read as grey gives luma (ids 1, 15, 255 become 38, 147, 220) and a 16-bit one read as 8 bits keeps the
high byte, both without an error. So labels are decoded here, once, and records hold 8-bit greyscale PNGs of ids.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets.raw import colors, images, matlab, png, stored
from datasets.row import Dataset

INDEX_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16L', 'I;16B')
SMALL = (np.uint8, np.uint16)


class Label(NamedTuple):
    """Class ids uint8 [height, width], pixels per id (int64 [256]), and the file's bytes where it stores these ids."""

    ids: np.ndarray
    pixels: np.ndarray
    data: bytes = b''

    def encoded(self) -> bytes:
        """What `encode` makes of the ids, or the file's own compressed rows where they hold them."""
        return png.as_greyscale(self.data) or encode(self.ids)


def load(path: Path, dataset: Dataset) -> Label:
    """A label, decoded in full; ValueError tells mode, ids and pixel counts that don't fit the dataset."""
    data = b''
    if dataset.labels == 'colors':
        raw = colors.read(path, dataset)
    elif dataset.labels == 'one_hot':
        raw = _of_masks(path, dataset)
    elif path.suffix == '.mat':
        raw = matlab.read(path, dataset.variable)
    else:
        raw, data = _decode(path)
    if dataset.labels != 'ids':
        return Label(raw, count(raw))
    ids, pixels = to_ids(raw, dataset)
    return Label(ids, pixels, data if ids is raw else b'')


def read(path: Path, dataset: Dataset) -> np.ndarray:
    """Class ids uint8 [height, width], or ValueError as of `load`."""
    return load(path, dataset).ids


def files(path: Path, dataset: Dataset) -> tuple[Path, ...]:
    """The files of a label: itself, or one for each class."""
    if dataset.labels != 'one_hot':
        return (path,)
    return tuple(Path(str(path).replace('{class}', name)) for name in dataset.class_names)


def _of_masks(path: Path, dataset: Dataset) -> np.ndarray:
    """One file a class; pixels in none are 'background', when that has no file, or else ignored."""
    masks = {label: _mask(file) for label, file in enumerate(files(path, dataset)) if file.is_file()}
    if not masks:
        raise FileNotFoundError(path)
    if len({mask.shape for mask in masks.values()}) > 1:
        sizes = ', '.join(f'{dataset.class_names[label]} {mask.shape[1]}x{mask.shape[0]}'
                          for label, mask in masks.items())
        raise ValueError(f'its masks differ in size: {sizes}')
    rest = dataset.class_names.index('background') if 'background' in dataset.class_names else None
    ids = np.full(next(iter(masks.values())).shape, dataset.ignore_label if rest in (None, *masks) else rest, np.uint8)
    taken = np.zeros(ids.shape, bool)
    for label, mask in masks.items():
        twice = np.count_nonzero(mask & taken)
        if twice:
            raise ValueError(f'{dataset.class_names[label]} shares {twice} pixels with classes before it: a pixel has '
                             'one class')
        ids[mask] = label
        taken |= mask
    return ids


def _mask(path: Path) -> np.ndarray:
    """True where a file of 0 and one other value isn't 0."""
    values, _ = _histogram(raw := decode(path))
    if len(values) > 2 or (len(values) == 2 and values[0] != 0):
        raise ValueError(f'{path} holds {", ".join(map(str, values[:8]))}: a mask of one class holds 0 and one other')
    return raw != 0


def decode(path: Path) -> np.ndarray:
    """The ids as the file stores them: an integer array [height, width]."""
    return _decode(path)[0]


def _decode(path: Path) -> tuple[np.ndarray, bytes]:
    with images.opened(path) as (image, data):
        images.refuse_as_label(image)
        if image.mode not in INDEX_MODES:
            raise ValueError(f'mode {image.mode} holds colours, not ids: save the label as a palette or greyscale PNG')
        return stored.numbers(image, data), data


def to_ids(raw: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Maps raw ids to class ids or the ignore label, uint8, and counts these; the same array where nothing changes."""
    values, counts = _histogram(raw)
    legal = dataset.legal_ids
    bad = [f'{value} ({count} pixels)' for value, count in zip(values, counts, strict=True) if int(value) not in legal]
    if bad:
        known = (f'ids of {dataset.name} are the {len(legal)} in {min(legal)}..{max(legal)} that its row maps'
                 if legal is dataset.ids else
                 f'classes are 0..{dataset.num_classes - 1}, ignored is {dataset.ignore_label}')
        more = f' and {len(bad) - 8} more' if len(bad) > 8 else ''
        raise ValueError(f'holds ids {", ".join(bad[:8])}{more}; {known}')
    mapped = np.asarray([legal[int(value)] for value in values], np.uint8)
    pixels = np.zeros(256, np.int64)
    np.add.at(pixels, mapped, counts)
    return _mapped(raw, values, mapped), pixels


def _mapped(raw: np.ndarray, values: np.ndarray, mapped: np.ndarray) -> np.ndarray:
    """`raw`, whose `values` become those of `mapped`."""
    if raw.dtype not in SMALL:
        return mapped[np.searchsorted(values, raw)]
    if raw.dtype == np.uint8 and (values == mapped).all():
        return raw
    table = np.zeros(values.max(initial=0) + 1, np.uint8)
    table[values] = mapped
    # What table[raw] is, in half the time.
    return np.take(table, raw)


def to_raw(ids: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Predicted class ids -> the raw ids of the dataset's label files, which its benchmark scores."""
    raw_ids = np.asarray(dataset.raw_ids)
    return raw_ids.astype(np.min_scalar_type(raw_ids.max()))[ids]


def count(ids: np.ndarray) -> np.ndarray:
    """Pixels per id of a uint8 [height, width]: int64 [256]. In C: np.bincount copies the ids to eight bytes each."""
    return np.asarray(Image.fromarray(ids).histogram(), np.int64)


def _histogram(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids that occur and how often; counting beats np.unique's sorting where a table is small enough."""
    if raw.dtype not in SMALL:
        return np.unique(raw, return_counts=True)
    counts = count(raw) if raw.dtype == np.uint8 else np.bincount(raw.ravel())
    values = np.flatnonzero(counts)
    return values, counts[values]


def encode(ids: np.ndarray) -> bytes:
    """Class ids uint8 [height, width] -> an 8-bit greyscale PNG."""
    return png.of_ids(ids)

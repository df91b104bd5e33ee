"""Label images -> class ids, by what the file stores and never by how it looks.

A palette PNG read as grey gives luma (ids 1, 15, 255 become 38, 147, 220) and a 16-bit one read as 8 bits keeps the
high byte, both without an error. So labels are decoded here, once, and records hold 8-bit greyscale PNGs of ids.
"""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from datasets import images
from datasets.registry import Dataset

INDEX_MODES = ('1', 'L', 'P', 'I', 'I;16', 'I;16L', 'I;16B')
# Pillow stretches 2- and 4-bit grey over 0..255; this undoes it.
GREY_STRETCH = {'L;2': 85, 'L;4': 17}
SMALL = (np.uint8, np.uint16)


def read(path: Path, dataset: Dataset) -> np.ndarray:
    """Class ids uint8 [height, width]; ValueError tells mode, ids and pixel counts that don't fit the dataset."""
    return to_ids(decode(path), dataset)


def decode(path: Path) -> np.ndarray:
    """The ids as the file stores them: an integer array [height, width]."""
    with images.opened(path) as (image, data):
        if image.format == 'JPEG':
            raise ValueError('a JPEG cannot hold labels: its compression changes ids')
        if image.mode not in INDEX_MODES:
            raise ValueError(f'mode {image.mode} holds colours, not ids: save the label as a palette or greyscale PNG')
        stretch = GREY_STRETCH.get(images.raw_mode(image), 1)
        images.load(image, data)
        raw = np.asarray(image)
    return raw.astype(np.uint8) if raw.dtype == bool else raw // raw.dtype.type(stretch)


def to_ids(raw: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Maps raw ids to class ids or the ignore label, uint8."""
    values, counts = _histogram(raw)
    legal = dataset.legal_ids
    mapped = [legal.get(int(value)) for value in values]
    bad = [f'{value} ({count} pixels)' for value, count, label in zip(values, counts, mapped, strict=True)
           if label is None]
    if bad:
        known = (f'ids of {dataset.name} are the {len(legal)} in {min(legal)}..{max(legal)} that its row maps'
                 if legal is dataset.ids else
                 f'classes are 0..{dataset.num_classes - 1}, ignored is {dataset.ignore_label}')
        more = f' and {len(bad) - 8} more' if len(bad) > 8 else ''
        raise ValueError(f'holds ids {", ".join(bad[:8])}{more}; {known}')
    mapped = np.asarray(mapped, np.uint8)
    if raw.dtype not in SMALL:
        return mapped[np.searchsorted(values, raw)]
    table = np.zeros(values[-1] + 1, np.uint8)
    table[values] = mapped
    return table[raw]


def to_raw(ids: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Predicted class ids -> the raw ids of the dataset's label files, which its benchmark scores."""
    raw_ids = np.asarray(dataset.raw_ids)
    return raw_ids.astype(np.min_scalar_type(raw_ids.max()))[ids]


def _histogram(raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids that occur and how often; counting beats np.unique's sorting where a table is small enough."""
    if raw.dtype not in SMALL:
        return np.unique(raw, return_counts=True)
    counts = np.bincount(raw.ravel())
    values = np.flatnonzero(counts)
    return values, counts[values]


def encode(ids: np.ndarray) -> bytes:
    """Class ids uint8 [height, width] -> an 8-bit greyscale PNG."""
    stream = io.BytesIO()
    Image.fromarray(ids).save(stream, 'PNG')
    return stream.getvalue()

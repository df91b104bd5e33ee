"""Label images whose colours stand for classes."""

from pathlib import Path

import numpy as np

from datasets.raw import images
from datasets.row import Dataset

# Others are more than eight bits of grey.
MODES = ('RGB', 'RGBA', 'P', 'PA', 'L', 'LA', '1')


def read(path: Path, dataset: Dataset) -> np.ndarray:
    """Class ids uint8 [height, width]; ValueError tells colours that are none of the dataset's, and their pixels."""
    with images.opened(path) as (image, data):
        images.refuse_as_label(image)
        if image.mode not in MODES:
            raise ValueError(f'mode {image.mode} is not one of colours, which the row says labels hold')
        loaded = images.load(image, data)
        if loaded.mode[-1] == 'A' and loaded.getextrema()[-1] != (255, 255):
            raise ValueError('has transparent pixels, whose class is unclear: save the label without alpha')
        pixels = _packed(np.asarray(loaded.convert('RGB')))
    return _ids(pixels, dataset)


def _packed(rgb: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(rgb.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _ids(pixels: np.ndarray, dataset: Dataset) -> np.ndarray:
    known = _packed(np.asarray([*dataset.palette, *dataset.ignore_colors]))
    labels = np.asarray([*range(dataset.num_classes), *[dataset.ignore_label] * len(dataset.ignore_colors)], np.uint8)
    order = np.argsort(known)
    position = np.searchsorted(known[order], pixels).clip(max=len(known) - 1)
    unknown = pixels[known[order][position] != pixels]
    if unknown.size:
        values, counts = np.unique(unknown, return_counts=True)
        told = [f'({value >> 16}, {value >> 8 & 255}, {value & 255}) ({count} pixels)'
                for value, count in zip(values[:8].tolist(), counts.tolist(), strict=False)]
        more = f' and {len(values) - 8} more' if len(values) > 8 else ''
        raise ValueError(f'holds colours {", ".join(told)}{more}, which {dataset.name} gives to no class')
    return labels[order][position]

"""Records of drawn images of VOC's size, for a machine that has none of VOC."""

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.sections import SPLIT
from datasets import row as rows
from datasets.convert import convert

SIZE = (375, 500)  # most of VOC's
CELL = 25  # side of what is of one colour
NOISE = 12


def write(folder: Path, count: int) -> Path:
    """Draws `count` images with labels in VOC's layout and converts them; returns the folder of the records."""
    images, labels, lists = (folder / 'VOC2012' / name for name in (
        'JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'))
    for each in (images, labels, lists):
        each.mkdir(parents=True)
    names = [f'2012_{i:06d}' for i in range(count)]
    for i, name in enumerate(names):
        image, label = draw(i)
        Image.fromarray(image).save(images / f'{name}.jpg', quality=92)
        Image.fromarray(label).save(labels / f'{name}.png')
    (lists / f'{SPLIT}.txt').write_text('\n'.join(names) + '\n')
    records = folder / 'records'
    convert(rows.load('voc2012'), folder / 'VOC2012', records, [SPLIT])
    return records


def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
    """uint8 `[375, 500, 3]` of noisy cells, which a JPEG is as long for as for a photograph, and their classes."""
    random = np.random.RandomState(number)
    cells = [side // CELL for side in SIZE]
    classes = random.randint(0, 21, cells).repeat(CELL, 0).repeat(CELL, 1)
    colours = random.randint(0, 256, [21, 3])[classes]
    return np.clip(colours + random.normal(0, NOISE, colours.shape), 0, 255).astype(np.uint8), classes.astype(np.uint8)

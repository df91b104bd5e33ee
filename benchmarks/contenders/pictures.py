"""The images that every contender is timed on: files of a folder, `NAME.jpg` with labels in `NAME.png`."""

from pathlib import Path

import numpy as np
from PIL import Image

IGNORE = 255


def batch(folder: str, count: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images, cut or padded at their ends: float32 `[count, side, side, 3]` in 0..255 and int32 ids."""
    files = sorted(Path(folder).glob('*.jpg'))
    images = np.full([count, side, side, 3], 127.5, np.float32)
    labels = np.full([count, side, side], IGNORE, np.int32)
    for i in range(count):
        path = files[i % len(files)]
        image = np.asarray(Image.open(path).convert('RGB'))[:side, :side]
        height, width, _ = image.shape
        images[i, :height, :width] = image
        labels[i, :height, :width] = np.asarray(Image.open(path.with_suffix('.png')))[:side, :side]
    return images, labels

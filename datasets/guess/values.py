"""Which ids or colours mask files hold."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from datasets.raw import images, labels

# A mask with more was saved with smoothed edges or lossy compression.
MOST_COLORS = 1000
Color = tuple[int, int, int]


class Mask(NamedTuple):
    """Pixels per id, or per colour (r, g, b), and the colours that a palette gives to ids."""

    pixels: dict[int | Color, int]
    palette: dict[int, Color]


@dataclass
class Values:
    """What all masks of a dataset hold together; `unreadable` are (file, reason)."""

    pixels: Counter[int | Color] = field(default_factory=Counter)
    palette: dict[int, Color] = field(default_factory=dict)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def ids(self) -> list[int]:
        return sorted(value for value in self.pixels if isinstance(value, int))

    @property
    def colors(self) -> list[Color]:
        """Black first, which usually is background, then by frequency."""
        found = [value for value in self.pixels if not isinstance(value, int)]
        return sorted(found, key=lambda color: (color != (0, 0, 0), -self.pixels[color], color))


def gather(paths: Iterable[Path], masks: Iterable[Mask | str]) -> Values:
    """Sums up what `look` made of each path."""
    values = Values()
    for path, mask in zip(paths, masks, strict=True):
        if isinstance(mask, str):
            values.unreadable.append((path, mask))
        else:
            values.pixels.update(mask.pixels)
            values.palette |= mask.palette
    return values


def look(path: Path) -> Mask | str:
    """The values of one file, or why it can't be a mask."""
    try:
        with images.opened(path) as (image, data):
            images.refuse_as_label(image)
            if image.mode in labels.INDEX_MODES:
                palette = _palette(image)
                values, counts = np.unique(labels.decode(path), return_counts=True)
                return Mask(dict(zip(values.tolist(), counts.tolist(), strict=True)), palette)
            images.load(image, data)
            found = image.convert('RGB').getcolors(MOST_COLORS)
    except (ValueError, OSError) as error:
        return str(error)
    if found is None:
        return f'more than {MOST_COLORS} colours: smoothed or lossy; export masks without either'
    return Mask({_of_rgb(color): count for count, color in found}, {})


def _of_rgb(color: float | tuple[int, ...]) -> Color:
    assert isinstance(color, tuple)  # Pillow has numbers for images of one band
    red, green, blue = color
    return red, green, blue


def _palette(image: Image.Image) -> dict[int, Color]:
    flat = image.getpalette('RGB') if image.mode == 'P' else None
    return dict(enumerate(zip(*[iter(flat)] * 3, strict=False))) if flat else {}

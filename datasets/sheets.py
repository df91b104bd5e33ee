"""Contact sheets: images beside their labels in colours, with a legend and void hatched."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE = 240
CAPTION = 20
MARGIN = 6
PAIRS_A_ROW = 3
LEGEND_WIDTH = 190
LEGEND_LINE = 18
FONT_SIZE = 12
# Two colours in stripes, which no class has.
VOID_STRIPES = ((255, 0, 255), (255, 255, 255))
STRIPE_PIXELS = 5


class Picture(NamedTuple):
    """An example: caption, image uint8 [h, w, 3] and ids uint8 [h, w]."""

    caption: str
    image: np.ndarray
    ids: np.ndarray


class Key(NamedTuple):
    """What ids mean."""

    names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    ignore_label: int


def sheet(pictures: Sequence[Picture], key: Key) -> Image.Image:
    """Image and label side by side, three pairs a row; the legend names the ids that occur."""
    shown = sorted({int(value) for picture in pictures for value in np.unique(picture.ids)})
    rows = [[(picture.caption, _pair(picture, key)) for picture in pictures[start:start + PAIRS_A_ROW]]
            for start in range(0, len(pictures), PAIRS_A_ROW)]
    heights = [max(pair.height for _, pair in row) + CAPTION + MARGIN for row in rows]
    column = max(pair.width for row in rows for _, pair in row) + MARGIN
    width, height = len(rows[0]) * column + MARGIN, sum(heights) + MARGIN
    legend = _legend(shown, key, height)
    page = Image.new('RGB', (width + legend.width, max(height, legend.height)), 'white')
    page.paste(legend, (width, 0))
    draw, font = ImageDraw.Draw(page), _font()
    for number, row in enumerate(rows):
        top = MARGIN + sum(heights[:number])
        for place, (caption, pair) in enumerate(row):
            left = MARGIN + place * column
            page.paste(pair, (left, top))
            draw.text((left, top + pair.height + 2), _fitted(draw, caption, font, column), 'black', font)
    return page


def _pair(picture: Picture, key: Key) -> Image.Image:
    image = Image.fromarray(picture.image)
    image.thumbnail((TILE, TILE))
    # Labels are resized by ids and coloured then, so that no colour is mixed.
    ids = Image.fromarray(picture.ids).resize(image.size, Image.Resampling.NEAREST)
    pair = Image.new('RGB', (2 * image.width, image.height))
    pair.paste(image, (0, 0))
    pair.paste(Image.fromarray(colored(np.asarray(ids), key)), (image.width, 0))
    return pair


def colored(ids: np.ndarray, key: Key) -> np.ndarray:
    """Colours uint8 [h, w, 3] of ids, void in stripes."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:len(key.colors)] = key.colors
    y, x = np.indices(ids.shape)
    stripes = np.asarray(VOID_STRIPES, np.uint8)[(y + x) // STRIPE_PIXELS % 2]
    return np.where((ids == key.ignore_label)[..., None], stripes, palette[ids])


def _legend(shown: Sequence[int], key: Key, height: int) -> Image.Image:
    lines = max((height - 2 * MARGIN) // LEGEND_LINE, 1)
    columns = -(-len(shown) // lines)
    page = Image.new('RGB', (columns * LEGEND_WIDTH, min(len(shown), lines) * LEGEND_LINE + 2 * MARGIN), 'white')
    draw, font = ImageDraw.Draw(page), _font()
    for number, label in enumerate(shown):
        column, line = divmod(number, lines)
        left, top = column * LEGEND_WIDTH, MARGIN + line * LEGEND_LINE
        swatch = np.full((LEGEND_LINE - 4, 2 * LEGEND_LINE), label, np.uint8)
        page.paste(Image.fromarray(colored(swatch, key)), (left, top))
        draw.rectangle((left, top, left + 2 * LEGEND_LINE - 1, top + LEGEND_LINE - 5), outline='gray')
        name = f'{label} void' if label == key.ignore_label else f'{label} {key.names[label]}'
        start = left + 2 * LEGEND_LINE + 4
        draw.text((start, top), _fitted(draw, name, font, LEGEND_WIDTH - start + left), 'black', font)
    return page


def _font() -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT_SIZE)


def _fitted(draw: ImageDraw.ImageDraw, text: str, font, width: int) -> str:
    """The text, its middle left out where it is too wide."""
    short = text
    for kept in range(len(text) // 2, 1, -1):
        if draw.textlength(short, font) <= width - MARGIN:
            break
        short = f'{text[:kept]}…{text[-kept:]}'
    return short

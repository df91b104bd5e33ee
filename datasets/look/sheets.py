"""Contact sheets: images beside their labels in colours and numbers, with a legend and void hatched."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

TILE = 240
CAPTION = 20
MARGIN = 6
PAIRS_A_ROW = 3
LEGEND_LINE = 18
# The legend of many classes on a sheet of few pictures is rather longer than wide.
LEGEND_LINES = 40
FONT_SIZE, NUMBER_SIZE = 12, 10
# Two colours in stripes, which no class has.
VOID_STRIPES = ((255, 0, 255), (255, 255, 255))
STRIPE_PIXELS = 5

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(FONT_SIZE)
    for number, row in enumerate(rows):
        top = MARGIN + sum(heights[:number])
        for place, (caption, pair) in enumerate(row):
            left = MARGIN + place * column
            # A class may be as white as the page.
            draw.rectangle((left - 1, top - 1, left + pair.width, top + pair.height), outline='gray')
            page.paste(pair, (left, top))
            draw.text((left, top + pair.height + 2), _fitted(draw, caption, font, column), 'black', font)
    return page


def _pair(picture: Picture, key: Key) -> Image.Image:
    image = Image.fromarray(picture.image)
    image.thumbnail((TILE, TILE))
    # Labels are resized by ids and coloured then, so that no colour is mixed.
    ids = np.asarray(Image.fromarray(picture.ids).resize(image.size, Image.Resampling.NEAREST))
    pair = Image.new('RGB', (2 * image.width, image.height))
    pair.paste(image, (0, 0))
    pair.paste(_numbered(ids, key), (image.width, 0))
    return pair


def _numbered(ids: np.ndarray, key: Key) -> Image.Image:
    """Ids in colours, and each once as a number where it has room: published colours can be the same or nearly so."""
    page = Image.fromarray(colored(ids, key))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(NUMBER_SIZE)
    for label in np.unique(ids):
        if label != key.ignore_label:
            row, column, depth = _middle(ids == label)
            if 2 * depth >= draw.textlength(str(label), font) + MARGIN:
                draw.text((column, row), str(label), 'white', font, 'mm', stroke_width=1, stroke_fill='black')
    return page


def _middle(mask: np.ndarray) -> tuple[int, int, int]:
    """A pixel of a mask as far from all others as any, and how many pixels that is."""
    inside, depth = np.pad(mask, 1), 0
    while inside.any():
        left, depth = inside, depth + 1
        rows = inside[:-2] & inside[1:-1] & inside[2:]
        inside = np.pad(rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:], 1)
    places = np.argwhere(left)
    row, column = (places[len(places) // 2] - 1).tolist()
    return row, column, depth


def colored(ids: np.ndarray, key: Key) -> np.ndarray:
    """Colours uint8 [h, w, 3] of ids, void in stripes."""
    palette = np.zeros((256, 3), np.uint8)
    palette[:len(key.colors)] = key.colors
    y, x = np.indices(ids.shape)
    stripes = np.asarray(VOID_STRIPES, np.uint8)[(y + x) // STRIPE_PIXELS % 2]
    return np.where((ids == key.ignore_label)[..., None], stripes, palette[ids])


def _legend(shown: Sequence[int], key: Key, height: int) -> Image.Image:
    lines = max((height - 2 * MARGIN) // LEGEND_LINE, LEGEND_LINES)
    columns = -(-len(shown) // lines)
    font = ImageFont.load_default(FONT_SIZE)
    names = [f'{label} void' if label == key.ignore_label else f'{label} {key.names[label]}' for label in shown]
    start = 2 * LEGEND_LINE + 4
    width = start + math.ceil(max(map(font.getlength, names))) + 2 * MARGIN
    page = Image.new('RGB', (columns * width, min(len(shown), lines) * LEGEND_LINE + 2 * MARGIN), 'white')
    draw = ImageDraw.Draw(page)
    for number, (label, name) in enumerate(zip(shown, names, strict=True)):
        column, line = divmod(number, lines)
        left, top = column * width, MARGIN + line * LEGEND_LINE
        swatch = np.full((LEGEND_LINE - 4, 2 * LEGEND_LINE), label, np.uint8)
        page.paste(Image.fromarray(colored(swatch, key)), (left, top))
        draw.rectangle((left, top, left + 2 * LEGEND_LINE - 1, top + LEGEND_LINE - 5), outline='gray')
        draw.text((left + start, top), name, 'black', font)
    return page


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    """The text, its middle left out where it is too wide."""
    short = text
    for kept in range(len(text) // 2, 1, -1):
        if draw.textlength(short, font) <= width - MARGIN:
            break
        short = f'{text[:kept]}…{text[-kept:]}'
    return short

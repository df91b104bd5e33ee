"""Reads image files for conversion: nothing lossy is done twice and nothing ambiguous gets through."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

# A few kilobytes of PNG can ask for gigabytes of pixels.
MAX_PIXELS = 100_000_000
PNG_END = b'IEND\xae\x42\x60\x82'


@contextmanager
def opened(path: Path) -> Iterator[tuple[Image.Image, bytes]]:
    """The image, its header read only, and the file's bytes; ValueError when empty, unreadable or above MAX_PIXELS."""
    data = path.read_bytes()
    if not data:
        raise ValueError('the file is empty')
    try:
        image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise ValueError(f'more than {MAX_PIXELS} pixels') from error
    except (OSError, SyntaxError) as error:
        raise ValueError('not an image that Pillow can read') from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f'{image.width}x{image.height} is more than {MAX_PIXELS} pixels')
        yield image, data


def check(path: Path) -> tuple[int, int]:
    """Decodes the whole image and returns (height, width)."""
    with opened(path) as (image, data):
        _decoded(image)
        if _kept(image) and not _is_complete(data):
            raise ValueError('the file is truncated')
        return image.height, image.width


def encoded_rgb(path: Path) -> tuple[bytes, str, int, int]:
    """(bytes, 'jpeg' or 'png', height, width) of the image as 8-bit RGB.

    RGB JPEGs and 8-bit RGB PNGs keep their bytes. Others become PNGs: grey and palette expanded, alpha dropped, the
    high byte of 16 bits, the first frame of several. EXIF rotation is ignored, as in the published pipelines.
    """
    with opened(path) as (image, data):
        if _kept(image):
            return data, image.format.lower(), image.height, image.width
        rgb = _decoded(image)
        if rgb.mode.startswith('I;16'):
            rgb = Image.fromarray((np.asarray(rgb) >> 8).astype(np.uint8))
        stream = io.BytesIO()
        rgb.convert('RGB').save(stream, 'PNG')
        return stream.getvalue(), 'png', image.height, image.width


def raw_mode(image: Image.Image) -> str:
    """How the file stores a pixel, such as 'L;4' for four bits of grey that Pillow has scaled to eight."""
    return image.tile[0][3] if image.format == 'PNG' and image.tile else image.mode


def _kept(image: Image.Image) -> bool:
    return image.format in ('JPEG', 'PNG') and image.mode == 'RGB' and raw_mode(image) == 'RGB'


def _decoded(image: Image.Image) -> Image.Image:
    if image.mode in ('I', 'F'):
        raise ValueError(f'mode {image.mode} has no known range: save the image as 8-bit RGB')
    load(image)
    return image


def load(image: Image.Image) -> None:
    """Decodes all pixels, or raises ValueError."""
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f'the file is truncated or damaged ({error})') from error


def _is_complete(data: bytes) -> bool:
    # Pillow is satisfied with the pixels; libpng, which TensorFlow decodes with, also wants the end mark.
    return data[:2] == b'\xff\xd8' or PNG_END in data

"""Reads image files for conversion: nothing lossy is done twice and nothing ambiguous gets through."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

# A few kilobytes of PNG can ask for gigabytes of pixels.
MAX_PIXELS = 100_000_000
# Only these decoders touch untrusted files; Pillow would hand others to programs (EPS to Ghostscript).
READABLE = ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM')
PNG_END = b'IEND\xae\x42\x60\x82'


@contextmanager
def opened(path: Path) -> Iterator[tuple[Image.Image, bytes]]:
    """The image, its header read only, and the file's bytes; ValueError when empty, unreadable or above MAX_PIXELS."""
    data = path.read_bytes()
    if not data:
        raise ValueError('the file is empty')
    try:
        with warnings.catch_warnings():
            # Pillow warns of a little less than MAX_PIXELS.
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=READABLE)
    except Image.DecompressionBombError as error:
        raise ValueError(f'more than {MAX_PIXELS} pixels') from error
    except (OSError, SyntaxError) as error:
        raise ValueError(f'not an image of {", ".join(READABLE)}') from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f'{image.width}x{image.height} is more than {MAX_PIXELS} pixels')
        yield image, data


def load(image: Image.Image, data: bytes) -> None:
    """Decodes all pixels of an opened image; ValueError when the file is truncated or damaged."""
    try:
        image.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise ValueError(f'the file is truncated or damaged ({error})') from error
    # Pillow is content with the pixels; libpng, which TensorFlow decodes with, wants the end mark too.
    if image.format == 'PNG' and PNG_END not in data:
        raise ValueError('the file is truncated')


def check(path: Path) -> tuple[int, int]:
    """Decodes the whole image and returns (height, width); ValueError tells why it can't become a record."""
    with opened(path) as (image, data):
        if image.mode in ('I', 'F'):
            raise ValueError(f'mode {image.mode} has no known range: save the image as 8-bit RGB')
        load(image, data)
        return image.height, image.width


def encoded_rgb(path: Path) -> tuple[bytes, str, int, int]:
    """(bytes, 'jpeg' or 'png', height, width), as 8-bit RGB, of an image that has passed `check`.

    RGB JPEGs and 8-bit RGB PNGs keep their bytes. Others become PNGs: grey and palette expanded, alpha dropped, the
    high byte of 16 bits, the first frame of several. EXIF rotation is ignored, as in the published pipelines.
    """
    with opened(path) as (image, data):
        if image.format in ('JPEG', 'PNG') and raw_mode(image) == 'RGB':
            return data, image.format.lower(), image.height, image.width
        load(image, data)
        eight_bits = image
        if image.mode.startswith('I;16'):
            eight_bits = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        stream = io.BytesIO()
        eight_bits.convert('RGB').save(stream, 'PNG')
        return stream.getvalue(), 'png', image.height, image.width


def raw_mode(image: Image.Image) -> str:
    """How the file stores a pixel, such as 'L;4' for four bits of grey that Pillow stretches to eight.

    Only before the pixels are loaded.
    """
    return image.tile[0][3] if image.format == 'PNG' else image.mode

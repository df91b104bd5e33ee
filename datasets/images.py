"""Reads image files for conversion: nothing lossy is done twice and nothing ambiguous gets through."""

import io
import stat
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
# Formats whose several pictures are frames or pages. A JPEG may hold others of the same scene, the first is meant.
ANIMATED = ('GIF', 'PNG', 'TIFF', 'WEBP')
ORIENTATION = 0x0112
PNG_END = b'IEND\xae\x42\x60\x82'


@contextmanager
def opened(path: Path) -> Iterator[tuple[Image.Image, bytes]]:
    """The image, its header read only, and the file's bytes; ValueError when it isn't one picture that can be read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError('not a file')
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
    except Exception as error:  # decoders raise whatever damaged bytes lead them to
        raise ValueError(f'not an image of {", ".join(READABLE)}') from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f'{image.width}x{image.height} is more than {MAX_PIXELS} pixels')
        if image.format in ANIMATED and _num_pictures(image) > 1:
            raise ValueError(f'holds {image.n_frames} pictures: save the one that is meant')
        yield image, data


def _num_pictures(image: Image.Image) -> int:
    try:
        return getattr(image, 'n_frames', 1)
    except Exception as error:
        raise ValueError(f'the file is truncated or damaged ({error})') from error


def load(image: Image.Image, data: bytes) -> None:
    """Decodes all pixels of an opened image; ValueError when the file is truncated or damaged."""
    try:
        image.load()
    except Exception as error:
        raise ValueError(f'the file is truncated or damaged ({error})') from error
    # Pillow is content with the pixels; libpng, which TensorFlow decodes with, wants the end mark too.
    if image.format == 'PNG' and PNG_END not in data:
        raise ValueError('the file is truncated')


def check(path: Path) -> tuple[int, int]:
    """Decodes the whole image and returns (height, width); ValueError tells why it can't become a record."""
    with opened(path) as (image, data):
        if image.mode in ('I', 'F'):
            raise ValueError(f'mode {image.mode} has no known range: save the image as 8-bit RGB')
        size = image.height, image.width
        # All of a JPEG's data is read, but only brightness is computed, of one pixel in 64.
        image.draft('L', (1, 1))
        load(image, data)
        return size


def orientation(path: Path) -> int:
    """How EXIF says that the picture is to be shown: 1 as stored, 2 to 8 mirrored or turned, 5 to 8 with sides swapped.

    Of an image that has passed `check`.
    """
    with path.open('rb') as file, Image.open(file, formats=READABLE) as image:
        try:
            return image.getexif().get(ORIENTATION, 1)
        except Exception:  # no EXIF that viewers could follow either
            return 1


def encoded_rgb(path: Path) -> tuple[bytes, str, int, int]:
    """(bytes, 'jpeg' or 'png', height, width), as 8-bit RGB, of an image that has passed `check`.

    RGB JPEGs and 8-bit RGB PNGs keep their bytes. Others become PNGs: grey and palette expanded, alpha dropped, the
    high byte of 16 bits, the first of a phone's several pictures in a JPEG. Pixels stay as they are stored, whatever
    EXIF says of them (`orientation`).
    """
    with opened(path) as (image, data):
        if image.format in ('JPEG', 'PNG') and raw_mode(image) == 'RGB':
            return data, image.format.lower(), image.height, image.width
        return encode(_eight_bits(image, data)), 'png', image.height, image.width


def rgb(path: Path) -> np.ndarray:
    """The pixels uint8 [height, width, 3] that `encoded_rgb` encodes."""
    with opened(path) as (image, data):
        return _eight_bits(image, data)


def encode(pixels: np.ndarray, level: int = 6) -> bytes:
    """uint8 [height, width, 3] or [height, width] -> PNG, compressed at zlib's `level`."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG', compress_level=level)
    return stream.getvalue()


def _eight_bits(image: Image.Image, data: bytes) -> np.ndarray:
    load(image, data)
    if image.mode.startswith('I;16'):
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(image.convert('RGB'))


def raw_mode(image: Image.Image) -> str:
    """How the file stores a pixel, such as 'L;4' for four bits of grey that Pillow stretches to eight.

    Only before the pixels are loaded.
    """
    return image.tile[0][3] if image.format == 'PNG' else image.mode

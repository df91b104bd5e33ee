"""Reads image files for conversion: nothing lossy is done twice and nothing ambiguous gets through."""

import io
import stat
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.Image import Transpose
from PIL.ImageFile import ImageFile

from datasets.raw import jpeg, png

# A few kilobytes of PNG can ask for gigabytes of pixels.
MAX_PIXELS = 100_000_000
# Only these decoders touch untrusted files; Pillow would hand others to programs (EPS to Ghostscript).
READABLE = ('JPEG', 'PNG', 'BMP', 'GIF', 'TIFF', 'WEBP', 'PPM')
# Formats whose several pictures are frames or pages. A JPEG may hold others of the same scene, the first is meant.
ANIMATED = ('GIF', 'PNG', 'TIFF', 'WEBP')
# What turns a picture back that Pillow has shown as its orientation says, as it does with TIFFs.
TURNED_BACK = {2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
               5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_90, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_270}
ORIENTATION = 0x0112
# Compressions of TIFFs after which pixels differ; MPO is a JPEG with others behind it.
LOSSY_FORMATS, LOSSY_IN_TIFFS = ('JPEG', 'MPO'), ('jpeg', 'tiff_jpeg', 'webp', 'tiff_sgilog', 'tiff_sgilog24')
# Bits of a BMP's pixel in the modes of grey that Pillow makes of it.
BITS_OF_GREY = {'1': 1, 'L': 8}
PNG_END = b'IEND\xae\x42\x60\x82'
# What keeps its bytes in records, if it is 8-bit RGB, and how it is taken apart.
KEPT = {'JPEG': jpeg, 'PNG': png}


@contextmanager
def opened(path: Path) -> Iterator[tuple[ImageFile, bytes]]:
    """The image, its header read only, and the file's bytes; ValueError when it isn't one picture that can be read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError('not a file')
    data = path.read_bytes()
    if not data:
        raise ValueError('the file is empty')
    try:
        image = _open(data)
    except Image.DecompressionBombError as error:
        raise ValueError(f'more than {MAX_PIXELS} pixels') from error
    except Exception as error:  # decoders raise whatever damaged bytes lead them to
        raise ValueError(f'not an image of {", ".join(READABLE)}') from error
    with image:
        if image.width * image.height > MAX_PIXELS:
            raise ValueError(f'{image.width}x{image.height} is more than {MAX_PIXELS} pixels')
        if image.format in ANIMATED and (count := _num_pictures(image)) > 1:
            raise ValueError(f'holds {count} pictures: save the one that is meant')
        if image.format == 'BMP' and (bits := _bits(data)) != BITS_OF_GREY.get(image.mode, bits):
            # Pillow takes the number of the palette's colours for that of a pixel's bits.
            raise ValueError(f'a BMP of {bits} bits whose palette is grey: save it as PNG')
        yield image, data


def refuse_as_label(image: ImageFile) -> None:
    """ValueError when an opened image can't have kept what a label was drawn with, or has pixels that nobody drew."""
    if image.format in LOSSY_FORMATS or (image.format == 'TIFF' and image.info['compression'] in LOSSY_IN_TIFFS):
        raise ValueError('a JPEG cannot hold labels: its compression changes ids and colours; export masks as PNG')
    whole = 0, 0, *image.size
    left, top, right, bottom = image.tile[0].extents or whole if image.format == 'GIF' else whole
    if (left, top, right, bottom) != whole:
        raise ValueError(f'its picture, {right - left}x{bottom - top}, covers a part of {image.width}x{image.height}: '
                         'the rest has no ids')


def _open(data: bytes) -> ImageFile:
    with warnings.catch_warnings():
        # Pillow warns of a little less than MAX_PIXELS.
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        return Image.open(io.BytesIO(data), formats=READABLE)


def _num_pictures(image: Image.Image) -> int:
    try:
        return getattr(image, 'n_frames', 1)
    except Exception as error:  # as above: it searches the file for frames
        raise ValueError(f'the file is truncated or damaged ({error})') from error


def load(image: ImageFile, data: bytes) -> Image.Image:
    """The opened image with all pixels decoded, as stored; ValueError when the file is truncated or damaged."""
    turned_back = TURNED_BACK.get(_orientation(image)) if image.format == 'TIFF' else None
    try:
        image.load()
    except Exception as error:  # as above
        raise ValueError(f'the file is truncated or damaged ({error})') from error
    # Pillow is content with the pixels; libpng, which TensorFlow decodes with, wants the end mark too.
    if image.format == 'PNG' and PNG_END not in data:
        raise ValueError('the file is truncated')
    return image if turned_back is None else image.transpose(turned_back)


def _bits(data: bytes) -> int:
    """Of a pixel of a BMP; the header of OS/2 is shorter."""
    header_bytes, = struct.unpack_from('<I', data, 14)
    return struct.unpack_from('<H', data, 24 if header_bytes == 12 else 28)[0]


class Stored(NamedTuple):
    """An image that can become a record, and its pixels where a record won't keep the file's bytes."""

    size: tuple[int, int]
    # How EXIF says that it is to be shown: 1 as stored, 2 to 8 mirrored or turned, 5 to 8 with sides swapped.
    orientation: int
    data: bytes
    format: str
    decoded: np.ndarray | None

    def encoded(self) -> tuple[bytes, str]:
        """(bytes, 'jpeg' or 'png'), as 8-bit RGB."""
        return (self.data, self.format) if self.decoded is None else (encode(self.decoded), 'png')

    def pixels(self) -> np.ndarray:
        """What `encoded` encodes, uint8 [height, width, 3]; ValueError when the file is damaged after all."""
        if self.decoded is not None:
            return self.decoded
        with _open(self.data) as image:
            return _eight_bits(image, self.data)


def read(path: Path) -> Stored:
    """An image for a record, its file opened once; ValueError tells why it can't become one.

    RGB JPEGs and 8-bit RGB PNGs keep their bytes. Others become PNGs: grey and palette expanded, alpha dropped, the
    high byte of 16 bits, the first of a phone's several pictures in a JPEG. Pixels stay as they are stored, whatever
    EXIF says of them.

    Those that keep their bytes are decoded only when their structure leaves a doubt. That refuses what decoding refuses
    of files damaged since they were written, and takes a tenth of the time; `Stored.pixels` and
    `python -m datasets.verify` decode all.
    """
    with opened(path) as (image, data):
        size, decoded = _size(image), None
        # TIFFs tell before their pixels are loaded; PNGs after, as they may keep EXIF behind them.
        orientation = _orientation(image) if image.format != 'PNG' else None
        if image.format not in KEPT or raw_mode(image) != 'RGB':
            decoded = _eight_bits(image, data)
            height, width, _ = decoded.shape
            size = height, width  # to Pillow a TIFF's are those that are shown
        elif not KEPT[image.format].is_whole(data):
            _load_for_verdict(image, data)
        assert image.format  # of what Image.open made it always is known
        return Stored(size, orientation or _orientation(image), data, image.format.lower(), decoded)


def encode(pixels: np.ndarray) -> bytes:
    """uint8 [height, width, 3] -> PNG."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, 'PNG')
    return stream.getvalue()


def _size(image: ImageFile) -> tuple[int, int]:
    if image.mode in ('I', 'F'):
        raise ValueError(f'mode {image.mode} has no known range: save the image as 8-bit RGB')
    return image.height, image.width


def _load_for_verdict(image: ImageFile, data: bytes) -> None:
    # All of a JPEG's data is read, but only brightness is computed, of one pixel in 64.
    image.draft('L', (1, 1))
    load(image, data)
    if image.format in KEPT and not KEPT[image.format].ends(data):
        raise ValueError('the file is truncated or damaged (its end is missing, or checksums are wrong)')


def _orientation(image: Image.Image) -> int:
    """Pillow's own way for PNGs would load them, though what `png.is_whole` takes has nothing behind its pixels."""
    try:
        return Image.Image.getexif(image).get(ORIENTATION, 1)
    except Exception:  # no EXIF that viewers could follow either, whatever its damaged bytes lead Pillow to
        return 1


def _eight_bits(image: ImageFile, data: bytes) -> np.ndarray:
    loaded = load(image, data)
    if loaded.mode.startswith('I;16'):
        return np.repeat((np.asarray(loaded) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    return np.asarray(loaded.convert('RGB'))


def raw_mode(image: ImageFile) -> str:
    """How the file stores a pixel, such as 'L;4' for four bits of grey that Pillow stretches to eight.

    Only before the pixels are loaded; the mode where Pillow doesn't say it.
    """
    arguments = image.tile[0].args if image.tile else ()
    mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return mode if isinstance(mode, str) else image.mode

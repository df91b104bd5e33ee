"""The numbers that a file stores for its pixels, where Pillow makes shades of grey of them.

To Pillow 1 of four bits is 17 of 255, 1 of a PGM of at most 20 is 13 of 255, and 0 is white in a PBM and in TIFFs that
say so. Images want that, but ids are none of it.
"""

import re

import numpy as np
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import SAMPLEFORMAT, TiffImageFile

from datasets.raw import images

# Bits of grey, stretched over 0..255; I is inverted, R has the first pixel in the lowest bits.
GREY = re.compile(r'(?:(1)|L)(?:;([24])?(I)?R?)?')
SIGNED = (2,)


def numbers(image: ImageFile, data: bytes) -> np.ndarray:
    """Of an opened image of one band, an integer array [height, width]; ValueError when the file is damaged."""
    _leave_unscaled(image)
    raw_mode = images.raw_mode(image)
    is_signed = isinstance(image, TiffImageFile) and image.tag_v2.get(SAMPLEFORMAT) == SIGNED
    raw = np.asarray(images.load(image, data))
    grey = GREY.fullmatch(raw_mode)
    if not grey or raw.dtype not in (np.bool_, np.uint8):
        return raw
    bit, bits, is_inverted = grey.groups()
    highest = 2 ** int(bit or bits or 8) - 1
    # A bool has nothing to be stretched.
    raw = raw.astype(np.uint8) if bit else raw // np.uint8(255 // highest) if bits else raw
    raw = np.uint8(highest) - raw if is_inverted else raw
    return raw.view(np.int8) if is_signed else raw


def _leave_unscaled(image: ImageFile) -> None:
    """Has numbers decoded as they are: a PGM's of any maximum, and signed ones of which libtiff swaps the bytes."""
    if not image.tile:
        return
    tile = image.tile[0]
    raw_mode = images.raw_mode(image)
    if tile.codec_name == 'ppm_plain' and image.mode != '1':
        tile = tile._replace(args=(raw_mode, 65535 if image.mode == 'I' else 255))
    elif tile.codec_name == 'ppm':
        tile = tile._replace(codec_name='raw', args='I;16B' if image.mode == 'I' else raw_mode)
    elif tile.codec_name == 'libtiff' and raw_mode.endswith('BS'):
        assert isinstance(tile.args, tuple)
        tile = tile._replace(args=(raw_mode.replace('BS', 'NS'), *tile.args[1:]))
    image.tile = [tile, *image.tile[1:]]

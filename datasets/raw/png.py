"""PNG files taken apart and put together: what Pillow doesn't do, or takes longer for."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np

SIGNATURE = b'\x89PNG\r\n\x1a\n'
HEADER = struct.Struct('>IIBBBBB')
GREY, RGB, PALETTE = 0, 2, 3
# What decoders must know.
CRITICAL = (b'IHDR', b'IDAT', b'IEND')
# A byte of compressed data stands for no more of pixels.
MOST_OF_A_BYTE = 1032
# The filter that stores a row's differences from that above.
UP = 2


def as_greyscale(data: bytes) -> bytes | None:
    """The same ids as a greyscale PNG, nothing compressed anew; None unless it's an 8-bit palette or greyscale PNG.

    Of a file whose pixels have been decoded. Checksums are computed anew, since decoders differ in checking them.
    """
    header, rows = b'', []
    for kind, body, _ in _chunks(data):
        if kind == b'IHDR':
            header = bytes(body)
        elif kind == b'IDAT':
            rows.append(body)
    if not rows or len(header) != HEADER.size or header[8] != 8 or header[9] not in (GREY, PALETTE):
        return None
    return _file(header[:9] + bytes([GREY]) + header[10:], b''.join(rows))


def is_whole(data: bytes) -> bool:
    """True for an 8-bit RGB PNG whose every chunk is as its checksum says, to the end mark, with nothing after pixels.

    Its compressed data isn't expanded, so a writer that cut it before it computed the checksums isn't found out. False
    says that only decoding tells: the file is damaged, or has more than decoders need.
    """
    kinds, header, length = [], b'', 0
    for kind, body, is_sound in _chunks(data):
        if not is_sound or (kind not in CRITICAL and not kind[0] & 32):
            return False
        kinds.append(kind)
        if kind == b'IHDR':
            header = bytes(body)
        elif kind == b'IDAT':
            length += len(body)
    if len(header) != HEADER.size or kinds[0] != b'IHDR' or kinds.count(b'IHDR') > 1 or b'IDAT' not in kinds:
        return False
    width, height, *method = HEADER.unpack(header)
    last = [*[b'IDAT'] * kinds.count(b'IDAT'), b'IEND']
    return (kinds[-len(last):] == last and method in ([8, RGB, 0, 0, 0], [8, RGB, 0, 0, 1])
            and length * MOST_OF_A_BYTE >= height * (3 * width + 1))


def ends(data: bytes) -> bool:
    """Whether all that decoders must know is as its checksums say, to the end mark; Pillow doesn't check pixels'."""
    chunks = [(kind, is_sound) for kind, _, is_sound in _chunks(data) if kind in CRITICAL]
    return all(is_sound for _, is_sound in chunks) and (b'IEND', True) in chunks


def of_ids(ids: np.ndarray) -> bytes:
    """Class ids uint8 [height, width] -> an 8-bit greyscale PNG.

    Rows of labels are much like those above: their differences are runs of zeros, which zlib's run lengths make
    smaller than its matches and Pillow's choice of filters do, in a third of the time.
    """
    height, width = ids.shape
    rows = np.empty((height, 1 + width), np.uint8)
    rows[:, 0] = UP
    rows[0, 1:] = ids[0]
    np.subtract(ids[1:], ids[:-1], out=rows[1:, 1:])
    compressor = zlib.compressobj(strategy=zlib.Z_RLE)
    return _file(HEADER.pack(width, height, 8, GREY, 0, 0, 0), compressor.compress(rows.data) + compressor.flush())


def _chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """Kind and body of each chunk up to the end mark or the end of the data, and whether its checksum fits them."""
    view, position = memoryview(data), len(SIGNATURE)
    while data.startswith(SIGNATURE) and position + 8 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, position)
        end = position + 8 + length
        yield kind, view[position + 8:end], data[end:end + 4] == _checksum(view[position + 4:end])
        position = end + 4
        if kind == b'IEND':
            return


def _file(header: bytes, rows: bytes) -> bytes:
    return SIGNATURE + _chunk(b'IHDR', header) + _chunk(b'IDAT', rows) + _chunk(b'IEND', b'')


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + _checksum(kind + body)


def _checksum(data: bytes | memoryview) -> bytes:
    return struct.pack('>I', zlib.crc32(data))

"""PNG files taken apart: the rows of an 8-bit palette image are those of a greyscale image of its ids."""

import struct
import zlib

SIGNATURE = b'\x89PNG\r\n\x1a\n'
GREY, PALETTE = 0, 3


def as_greyscale(data: bytes) -> bytes | None:
    """The same ids as a greyscale PNG, nothing compressed anew; None unless it's an 8-bit palette or greyscale PNG.

    Of a file whose pixels have been decoded. Checksums are computed anew, since decoders differ in checking them.
    """
    header, rows = b'', []
    position = len(SIGNATURE)
    while data.startswith(SIGNATURE) and position + 8 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, position)
        body = data[position + 8:position + 8 + length]
        if kind == b'IHDR':
            header = body
        elif kind == b'IDAT':
            rows.append(body)
        elif kind == b'IEND':
            break
        position += 12 + length
    if not rows or len(header) != 13 or header[8] != 8 or header[9] not in (GREY, PALETTE):
        return None
    header = header[:9] + bytes([GREY]) + header[10:]
    return SIGNATURE + _chunk(b'IHDR', header) + _chunk(b'IDAT', b''.join(rows)) + _chunk(b'IEND', b'')


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(body, zlib.crc32(kind)))

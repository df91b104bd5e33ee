"""The framing of a TFRecord file: where each record lies, with damaged headers found out and stepped over.

A record is its length (8 bytes, little endian), the length's masked CRC-32C, the data and the data's masked CRC-32C.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

LENGTH_BYTES = 8
HEADER_BYTES = LENGTH_BYTES + 4
FOOTER_BYTES = 4
SEARCH_BYTES = 1 << 20
POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected
ONES = 0xFFFFFFFF


class Frame(NamedTuple):
    """A record's bytes [offset, end) in its file, and what is wrong with its length ('' when nothing is)."""

    offset: int
    end: int
    fault: str = ''


def frames(path: Path) -> Iterator[Frame]:
    """Every record by its header; the data's own CRC isn't looked at.

    After a header with a wrong CRC the next right one is searched for, so that one flipped bit costs one record.
    """
    size = path.stat().st_size
    offset = 0
    with path.open('rb', buffering=0) as file:
        while offset < size:
            file.seek(offset)
            frame = _frame(file, offset, size)
            yield frame
            offset = frame.end


def length_of(header: bytes) -> int:
    return struct.unpack('<Q', header[:LENGTH_BYTES])[0]


def _frame(file: BinaryIO, offset: int, size: int) -> Frame:
    header = file.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        return Frame(offset, size, 'the file ends within its header')
    stored, = struct.unpack('<I', header[LENGTH_BYTES:])
    if _masked(_crc32c(header[:LENGTH_BYTES], TABLE)) != stored:
        return Frame(offset, _next_header(file, offset + 1, size), 'the CRC of its length is wrong')
    end = offset + HEADER_BYTES + length_of(header) + FOOTER_BYTES
    return Frame(offset, end) if end <= size else Frame(offset, size, 'the file ends within it')


def _next_header(file: BinaryIO, start: int, size: int) -> int:
    """The first offset from `start` on that holds a header with the right CRC, or the file's size."""
    while start < size:
        file.seek(start)
        data = file.read(SEARCH_BYTES + HEADER_BYTES - 1)
        for hit in _headers(data):
            if start + hit + HEADER_BYTES + length_of(data[hit:]) + FOOTER_BYTES <= size:
                return start + hit
        start += SEARCH_BYTES
    return size


def _headers(data: bytes) -> list[int]:
    """Where in `data` 8 bytes are followed by their CRC."""
    if len(data) < HEADER_BYTES:
        return []
    octets = np.lib.stride_tricks.sliding_window_view(np.frombuffer(data, np.uint8), HEADER_BYTES).T.astype(np.uint32)
    crc = _masked(_crc32c(octets[:LENGTH_BYTES], np.array(TABLE, np.uint32)))
    stored = sum(octets[LENGTH_BYTES + place] << np.uint32(8 * place) for place in range(4))
    return np.flatnonzero(crc == stored).tolist()


def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = entry >> 1 ^ (POLYNOMIAL if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)


TABLE = _table()


def _crc32c(octets: bytes | np.ndarray, table: tuple[int, ...] | np.ndarray) -> int | np.ndarray:
    """Of integers, or of arrays uint32 at once."""
    crc = ONES
    for octet in octets:
        crc = table[(crc ^ octet) & 0xFF] ^ (crc >> 8)
    return crc ^ ONES


def _masked(crc: int | np.ndarray) -> int | np.ndarray:
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & ONES

"""Reads records as training does, and says of each one what is wrong with it."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from console.parallel import ordered_map
from datasets.records import tfrecord
from datasets.records.frames import FOOTER_BYTES, HEADER_BYTES, Frame, frames
from datasets.records.ids import LegalIds

CHUNK = 64
# Fewer records are read before other processes have imported TensorFlow.
ONE_PROCESS = 512
UNNAMED = '?'


class Bad(NamedTuple):
    """A record that training can't use; `name` is what could be read of it."""

    shard: str
    number: int
    offset: int
    name: str
    reason: str

    def __str__(self) -> str:
        return f'{self.shard}: record {self.number} at byte {self.offset} ({self.name}): {self.reason}'


class Good(NamedTuple):
    """A record's name, its (height, width) and its pixels per id, int64 [256]."""

    name: str
    size: tuple[int, int]
    pixels: np.ndarray


class Chunk(NamedTuple):
    """Consecutive records of a shard, and the ids that their labels may hold (any when there is None)."""

    shard: str
    first: int
    frames: tuple[Frame, ...]
    legal: LegalIds | None


def chunks(shard: Path, legal: LegalIds | None) -> Iterator[Chunk]:
    found = enumerate(frames(shard))
    while taken := list(itertools.islice(found, CHUNK)):
        yield Chunk(str(shard), taken[0][0], tuple(frame for _, frame in taken), legal)


def check_all(parts: list[Chunk], workers: int) -> Iterator[list[Bad | Good]]:
    """What became of the records of each chunk, in their order."""
    few = sum(len(chunk.frames) for chunk in parts) < ONE_PROCESS
    return ordered_map(check_chunk, parts, 1 if few else workers)


def check_chunk(chunk: Chunk) -> list[Bad | Good]:
    reader = Reader()
    return [_check(reader, chunk, number, frame) for number, frame in enumerate(chunk.frames, start=chunk.first)]


class Reader:
    """The operations of the input pipeline in a graph of their own, fed one record at a time."""

    def __init__(self) -> None:
        import tensorflow as tf

        from datasets.records import decode
        graph = tf.Graph()
        with graph.as_default():
            self._place = tf.compat.v1.placeholder(tf.string, []), tf.compat.v1.placeholder(tf.int64, [])
            self._encoded = tf.compat.v1.placeholder(tf.string, [])
            self._serialized = decode.read(*self._place)
            image, label, _, _ = decode.decode(self._encoded)
            self._decoded = tf.shape(image)[:2], label
        # Not on GPUs, whose memory the training wants.
        self._session = tf.compat.v1.Session(graph=graph, config=tf.compat.v1.ConfigProto(device_count={'GPU': 0}))
        self._error = tf.errors.OpError

    def read(self, shard: str, offset: int) -> bytes:
        """A serialised example; ValueError when its CRC is wrong."""
        try:
            return self._session.run(self._serialized, dict(zip(self._place, (shard, offset), strict=True)))
        except self._error as error:
            raise ValueError('the CRC of its data is wrong') from error

    def decode(self, serialized: bytes) -> tuple[tuple[int, int], np.ndarray]:
        """The image's (height, width) and the label uint8 [h, w]; ValueError when either can't be decoded."""
        try:
            size, label = self._session.run(self._decoded, {self._encoded: serialized})
        except self._error as error:
            raise ValueError(f'cannot be decoded ({_reason(error.message)})') from error
        return tuple(size.tolist()), label


def _reason(message: str) -> str:
    """Operation and error, out of a message that tells first where the operation was made."""
    match = re.search(r"Node: '(.*)'\n(.*)", message)
    return f'{match[1]}: {match[2]}' if match else message.splitlines()[0]


def _check(reader: Reader, chunk: Chunk, number: int, frame: Frame) -> Bad | Good:
    name = _name(chunk.shard, frame)
    try:
        if frame.fault:
            raise ValueError(frame.fault)
        serialized = reader.read(chunk.shard, frame.offset)
        record = tfrecord.parse(serialized)
        if record.label[24:26] != tfrecord.GREY_PNG:
            raise ValueError('its label is not an 8-bit greyscale PNG of ids')
        return Good(record.filename, *_sound(record, reader.decode(serialized), chunk.legal))
    except ValueError as error:
        return Bad(chunk.shard, number, frame.offset, name, str(error))


def _name(shard: str, frame: Frame) -> str:
    """The file name, read without regard to CRCs: flipped bits mostly hit the images."""
    with open(shard, 'rb') as file:
        file.seek(frame.offset + HEADER_BYTES)
        data = file.read(max(frame.end - FOOTER_BYTES - file.tell(), 0))
    try:
        return tfrecord.parse(data).filename or UNNAMED
    except ValueError:
        return UNNAMED


def _sound(record: tfrecord.Record, decoded: tuple[tuple[int, int], np.ndarray], legal: LegalIds | None
           ) -> tuple[tuple[int, int], np.ndarray]:
    """Size and pixels per id of a decoded record; ValueError when its parts disagree."""
    (height, width), label = decoded
    if label.shape != (height, width):
        raise ValueError(f'its label is {label.shape[1]}x{label.shape[0]} but its image is {width}x{height}')
    if record.height and (record.height, record.width) != (height, width):
        raise ValueError(f'says that it is {record.width}x{record.height} but its image is {width}x{height}')
    pixels = np.bincount(label.ravel(), minlength=256)
    illegal = legal.others(np.flatnonzero(pixels).tolist()) if legal else []
    if illegal:
        counts = ', '.join(f'{value} ({pixels[value]} pixels)' for value in illegal[:8])
        raise ValueError(f'its label holds ids {counts}; {legal}')
    return (height, width), pixels

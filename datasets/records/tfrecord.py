"""TFRecord shards of examples with the official DeepLab keys; rishizek/tensorflow-deeplab-v3-plus' are read too."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from datasets.records.frames import HEADER_BYTES, frames, length_of

IMAGE = 'image/encoded'
FILENAME = 'image/filename'
# The official builders' key, and the one that rishizek's users have in their records.
LABELS = ('image/segmentation/class/encoded', 'label/encoded')
# Bytes 24 and 25 of a PNG: bit depth 8, colour type 0 (grey).
GREY_PNG = b'\x08\x00'

Value = TypeVar('Value', bytes, int)


@dataclass(frozen=True)
class Record:
    """One example: 8-bit RGB JPEG or PNG bytes, and an 8-bit greyscale PNG of class ids."""

    filename: str
    image: bytes
    image_format: str
    height: int
    width: int
    label: bytes


def shard_name(split: str, shard: int, num_shards: int) -> str:
    return f'{split}-{shard:05d}-of-{num_shards:05d}.tfrecord'


def find_shards(record_dir: Path, split: str) -> tuple[Path, ...]:
    """The split's shards in order: official names, with or without '.tfrecord', or rishizek's '<split>.record'."""
    pattern = re.compile(re.escape(split) + r'(-\d+-of-\d+(\.tfrecord)?|\.record|\.tfrecord)')
    return tuple(sorted(path for path in Path(record_dir).glob('*') if pattern.fullmatch(path.name)))


def serialize(record: Record) -> bytes:
    """A tf.train.Example; the same record gives the same bytes."""
    import tensorflow as tf

    def of_bytes(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    def of_int(value: int) -> tf.train.Feature:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    example = tf.train.Example(features=tf.train.Features(feature={
        IMAGE: of_bytes(record.image),
        FILENAME: of_bytes(record.filename.encode()),
        'image/format': of_bytes(record.image_format.encode()),
        'image/height': of_int(record.height),
        'image/width': of_int(record.width),
        'image/channels': of_int(3),
        LABELS[0]: of_bytes(record.label),
        'image/segmentation/class/format': of_bytes(b'png'),
    }))
    return example.SerializeToString(deterministic=True)


def parse(serialized: bytes) -> Record:
    """The record of an example with the official or rishizek's keys; ValueError names what is missing."""
    import tensorflow as tf
    from google.protobuf.message import DecodeError

    try:
        example = tf.train.Example.FromString(serialized)
    except DecodeError as error:
        raise ValueError('not a tf.train.Example') from error
    features = {key: list(value.bytes_list.value) or list(value.int64_list.value)
                for key, value in example.features.feature.items()}
    label = next((features[key][0] for key in LABELS if features.get(key)), None)
    image = features[IMAGE][0] if features.get(IMAGE) else None
    if not isinstance(label, bytes) or not isinstance(image, bytes):
        raise ValueError(f'a record needs {IMAGE} and one of {", ".join(LABELS)}; it has {", ".join(sorted(features))}')
    return Record(
        filename=_first(features, FILENAME, b'').decode(),
        image=image,
        image_format=_first(features, 'image/format', b'').decode(),
        height=_first(features, 'image/height', 0),
        width=_first(features, 'image/width', 0),
        label=label,
    )


def _first(features: Mapping[str, Sequence[bytes] | Sequence[int]], key: str, default: Value) -> Value:
    """A feature's first value, or the default when it has none or another type of them."""
    value = features[key][0] if features.get(key) else default
    return value if isinstance(value, type(default)) else default


def write_shard(path: Path, records: Iterable[Record]) -> int:
    """Writes the records and returns their number; ValueError when the disk won't take them."""
    import tensorflow as tf

    count = 0
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record in records:
                writer.write(serialize(record))
                count += 1
    except tf.errors.OpError as error:
        raise ValueError(f'{path} cannot be written: {error.message}') from error
    return count


def scan_offsets(path: Path) -> np.ndarray:
    """The byte offset of every record, int64, from the headers alone.

    TensorFlow reads a shard that was cut at a record's border or inside a header as a clean end; here both are errors,
    a cut at a border excepted, which only a manifest can tell.
    """
    offsets: list[int] = []
    for frame in frames(path):
        if frame.fault:
            raise ValueError(f'{path}: record {len(offsets)} at byte {frame.offset} is truncated or damaged '
                             f'({frame.fault}): `python -m datasets.verify` lists all such; convert the dataset again')
        offsets.append(frame.offset)
    if not offsets:
        raise ValueError(f'{path}: holds no records: convert the dataset again')
    return np.asarray(offsets, np.int64)


def read_first(path: Path) -> bytes:
    """The serialised example at the beginning of a shard that scan_offsets has accepted."""
    with path.open('rb') as file:
        return file.read(length_of(file.read(HEADER_BYTES)))

"""TFRecord shards of examples with the official DeepLab keys; seed 002's keys are read as well."""

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

IMAGE = 'image/encoded'
FILENAME = 'image/filename'
# The official builders' key, and the one that seed 002's users have in their records.
LABELS = ('image/segmentation/class/encoded', 'label/encoded')

LENGTH_BYTES = 8
HEADER_BYTES = LENGTH_BYTES + 4
FOOTER_BYTES = 4


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
    """The split's shards in order: official names, with or without '.tfrecord', or seed 002's '<split>.record'."""
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
    """The record of an example with the official or seed 002's keys; ValueError names what is missing."""
    import tensorflow as tf

    example = tf.train.Example.FromString(serialized)
    features = {key: value.bytes_list.value or value.int64_list.value
                for key, value in example.features.feature.items()}
    label = next((features[key][0] for key in LABELS if features.get(key)), None)
    if label is None or not features.get(IMAGE):
        raise ValueError(f'a record needs {IMAGE} and one of {", ".join(LABELS)}; it has {", ".join(sorted(features))}')
    return Record(
        filename=_first(features, FILENAME, b'').decode(),
        image=features[IMAGE][0],
        image_format=_first(features, 'image/format', b'').decode(),
        height=_first(features, 'image/height', 0),
        width=_first(features, 'image/width', 0),
        label=label,
    )


def _first(features: dict, key: str, default):
    return features[key][0] if features.get(key) else default


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
    size = path.stat().st_size
    offsets, offset = [], 0
    with path.open('rb', buffering=0) as file:
        while offset < size:
            header = file.read(HEADER_BYTES)
            end = offset + HEADER_BYTES + FOOTER_BYTES
            if len(header) == HEADER_BYTES:
                end += struct.unpack('<Q', header[:LENGTH_BYTES])[0]
            if len(header) < HEADER_BYTES or end > size:
                raise ValueError(f'{path}: record {len(offsets)} at byte {offset} is truncated or damaged: '
                                 'convert the dataset again')
            offsets.append(offset)
            file.seek(end)
            offset = end
    if not offsets:
        raise ValueError(f'{path}: holds no records: convert the dataset again')
    return np.asarray(offsets, np.int64)


def read_first(path: Path) -> bytes:
    """The serialised example at the beginning of a shard that scan_offsets has accepted."""
    with path.open('rb') as file:
        length = struct.unpack('<Q', file.read(HEADER_BYTES)[:LENGTH_BYTES])[0]
        return file.read(length)

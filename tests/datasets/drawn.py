"""Tiny datasets and records that the tests draw themselves."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from datasets.records import tfrecord
from datasets.row import Dataset

SIZES = ((9, 13), (17, 11), (12, 12), (8, 21), (15, 10))


def png(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, 'PNG', **options)
    return stream.getvalue()


def jpeg(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, 'JPEG', **options)
    return stream.getvalue()


def grey_png(ids: np.ndarray, bits: int) -> bytes:
    """A greyscale PNG of 1, 2, 4, 8 or 16 bits, which Pillow can't write for 2 and 4."""
    height, width = ids.shape
    rows = b''.join(b'\0' + packed(row, bits) for row in ids)
    header = struct.pack('>IIBBBBB', width, height, bits, 0, 0, 0, 0)
    chunks = [(b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(struct.pack('>I', len(data)) + kind + data
                                         + struct.pack('>I', zlib.crc32(kind + data)) for kind, data in chunks)


def packed(row: np.ndarray, bits: int) -> bytes:
    text = ''.join(f'{int(value):0{bits}b}' for value in row)
    text += '0' * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, 'big')


def voc(root: Path, splits: dict[str, int], seed: int = 0) -> dict[str, np.ndarray]:
    """A Pascal VOC tree of small odd-sized pictures; returns the ids by name."""
    random = np.random.RandomState(seed)
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (root / folder).mkdir(parents=True)
    drawn = {}
    for split, count in splits.items():
        names = [f'{split}_{number}' for number in range(count)]
        (root / f'ImageSets/Segmentation/{split}.txt').write_text('\n'.join(names) + '\n')
        for number, name in enumerate(names):
            height, width = SIZES[number % len(SIZES)]
            (root / f'JPEGImages/{name}.jpg').write_bytes(jpeg(random.randint(0, 256, (height, width, 3), np.uint8)))
            drawn[name] = random.choice(np.array([0, 1, 15, 20, 255], np.uint8), (height, width))
            palette_png(root / f'SegmentationClass/{name}.png', drawn[name])
    return drawn


def touch(root: Path, *names: str) -> None:
    """Files that only have names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b'x')


def palette_png(path: Path, ids: np.ndarray, **options) -> None:
    image = Image.fromarray(ids)
    image.putpalette(np.random.RandomState(7).randint(0, 256, 768, np.uint8).tobytes())
    image.save(path, 'PNG', **options)


def record(number: int, height: int = 9, width: int = 13) -> tfrecord.Record:
    """A record whose picture is decoded without loss and tells its number."""
    random = np.random.RandomState(number)
    image = random.randint(0, 256, (height, width, 3), np.uint8)
    label = random.choice(np.array([0, 1, 2, 255], np.uint8), (height, width))
    return tfrecord.Record(f'example_{number}', png(image), 'png', height, width, png(label))


def write_split(folder: Path, split: str, count: int, num_shards: int = 1) -> list[tfrecord.Record]:
    """Shards without a manifest, as another tool would leave them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [record(number, *SIZES[number % len(SIZES)]) for number in range(count)]
    for shard in range(num_shards):
        tfrecord.write_shard(folder / tfrecord.shard_name(split, shard, num_shards), made[shard::num_shards])
    return made


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def batches(make_dataset) -> list:
    """All elements of make_dataset(), built and run as Estimator does: in a graph of its own."""
    with tf.Graph().as_default():
        element = tf.compat.v1.data.make_one_shot_iterator(make_dataset()).get_next()
        with tf.compat.v1.Session() as session:
            found = []
            while True:
                try:
                    found.append(session.run(element))
                except tf.errors.OutOfRangeError:
                    return found


def evaluate(make_tensors):
    """The value of make_tensors() in a graph."""
    with tf.Graph().as_default():
        tensors = make_tensors()
        with tf.compat.v1.Session() as session:
            return session.run(tensors)


def with_classes(dataset: Dataset, **changes) -> Dataset:
    return Dataset(**{**{name: getattr(dataset, name) for name in dataset.__dataclass_fields__}, **changes})

"""Records -> batches. Which examples a training step sees, and how they look, depends on (seed, step) alone."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from datasets.input.augment import Augmentation, augment
from datasets.input.index import RecordIndex, index_records, refuse_corrupt
from datasets.input.order import ORDERS
from datasets.records.decode import decode, illegal, read_all, sound
from datasets.records.ids import LegalIds

__all__ = ['Augmentation', 'RecordIndex', 'eval_dataset', 'index_records', 'refuse_corrupt', 'train_dataset']


def train_dataset(index: RecordIndex, augmentation: Augmentation, *, batch_size: int, seed: int, start_step: int,
                  max_steps: int, ignore_label: int, order: str = 'hashed', num_replicas: int = 1, pipeline: int = 0,
                  num_pipelines: int = 1) -> tf.data.Dataset:
    """Batches for the steps start_step .. max_steps - 1, each of batch_size examples for one replica.

    Yields ({'image' float32 [B, h, w, 3], 'filename' string [B], 'number' int64 [B]}, labels int32 [B, h, w]).
    Consecutive batches go to the consecutive replicas of this pipeline, which is one of num_pipelines (workers).
    Example i of a replica's batch has number (step * num_replicas + replica) * batch_size + i, and every run of
    num_examples numbers is a permutation of the split, drawn from (seed, epoch) as `order` of ORDERS says, in which the
    next record that isn't corrupt stands for a corrupt one.
    """
    if num_replicas % num_pipelines:
        raise ValueError(f'{num_replicas} replicas cannot be shared by {num_pipelines} input pipelines')
    _check_ignore_label(index, ignore_label)
    own_replicas = num_replicas // num_pipelines
    own, all_ = own_replicas * batch_size, num_replicas * batch_size

    def place(position: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        number = position // own * all_ + pipeline * own + position % own
        row = ORDERS[order](number % index.num_examples, seed, number // index.num_examples, index.num_examples)
        if index.corrupt:  # the order of all others stays what it was
            row = tf.gather(tf.constant(index.rows), row)
        return row, number

    def finish(example: Example, number: tf.Tensor) -> tuple[dict, tf.Tensor]:
        image, label = augment(example.image, example.label, augmentation, ignore_label, seed, number)
        return {'image': image, 'filename': example.filename, 'number': number}, label

    return _batches(index, tf.data.Dataset.range(start_step * own, max_steps * own).map(place), finish, batch_size)


def eval_dataset(index: RecordIndex, *, ignore_label: int, limit: int | None = None) -> tf.data.Dataset:
    """The split once, in record order, one example a batch at its own size; features hold 'height', 'width' too."""
    _check_ignore_label(index, ignore_label)

    def finish(example: Example, number: tf.Tensor) -> tuple[dict, tf.Tensor]:
        height, width = tf.unstack(tf.shape(example.label))
        return {'image': tf.cast(example.image, tf.float32), 'filename': example.filename, 'number': number,
                'height': height, 'width': width}, tf.cast(example.label, tf.int32)

    rows = tf.data.Dataset.range(min(index.num_examples, limit or index.num_examples))
    return _batches(index, rows.map(lambda row: (row, row)), finish, batch_size=1)


class Example(NamedTuple):
    """Image uint8 [h, w, 3], labels uint8 [h, w], and file name."""

    image: tf.Tensor
    label: tf.Tensor
    filename: tf.Tensor


def _batches(index: RecordIndex, places: tf.data.Dataset,
             finish: Callable[[Example, tf.Tensor], tuple[dict, tf.Tensor]], batch_size: int) -> tf.data.Dataset:
    """Batches of what `finish` makes of the examples at places (row, number), in their order.

    Nothing that is mapped in parallel may be stateful: TensorFlow's deterministic mode would map it one by one.
    """
    files, offsets = _table(index)

    def make(place: tuple[tf.Tensor, tf.Tensor], serialized: tf.Tensor) -> tuple[dict, tf.Tensor, tf.Tensor]:
        row, number = place
        example, fault = _example(files[row], offsets[row], row, serialized, index.legal)
        return *finish(example, number), fault

    records = read_all(places.map(lambda row, _: (files[row], offsets[row])))
    examples = tf.data.Dataset.zip((places, records)).map(make, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return sound(examples.batch(batch_size, drop_remainder=True)).prefetch(tf.data.AUTOTUNE)


def _check_ignore_label(index: RecordIndex, ignore_label: int) -> None:
    written = index.manifest['ignore_label'] if index.manifest else ignore_label
    if written != ignore_label:
        raise ValueError(f'{index.files[0]} was converted with ignore label {written}, not {ignore_label}')


def _table(index: RecordIndex) -> tuple[tf.Tensor, tf.Tensor]:
    """File name and byte offset of every record of the split."""
    counts = [len(offsets) for offsets in index.offsets]
    return tf.repeat(tf.constant(index.files), counts), tf.constant(np.concatenate(index.offsets))


def _example(file: tf.Tensor, offset: tf.Tensor, row: tf.Tensor, serialized: tf.Tensor, legal: LegalIds | None
             ) -> tuple[Example, tf.Tensor]:
    """A record, and what is wrong with its labels or ''.

    Records of rishizek/tensorflow-deeplab-v3-plus have no name and are told by their place.
    """
    image, label, filename, fault = decode(serialized)
    if legal:
        place = tf.strings.join([file, ': record at byte ', tf.strings.as_string(offset), ' (', filename, ')'])
        fault = tf.where(tf.equal(fault, ''), illegal(label, legal, place), fault)
    named = tf.where(tf.equal(filename, ''), tf.strings.join([file, '#', tf.strings.as_string(row)]), filename)
    return Example(image, label, named), fault

"""Records -> batches. Which examples a training step sees, and how they look, depends on (seed, step) alone."""

import numpy as np
import tensorflow as tf

from datasets.input.augment import Augmentation, augment
from datasets.input.index import RecordIndex, index_records, refuse_corrupt
from datasets.input.order import ORDERS
from datasets.records.decode import checked, decode, read
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
    files, offsets = _table(index)

    def example(position: tf.Tensor) -> tuple[dict, tf.Tensor]:
        number = position // own * all_ + pipeline * own + position % own
        row = ORDERS[order](number % index.num_examples, seed, number // index.num_examples, index.num_examples)
        if index.corrupt:  # the order of all others stays what it was
            row = tf.gather(tf.constant(index.rows), row)
        image, label, filename = _example(files, offsets, row, index.legal)
        image, label = augment(image, label, augmentation, ignore_label, seed, number)
        return {'image': image, 'filename': filename, 'number': number}, label

    positions = tf.data.Dataset.range(start_step * own, max_steps * own)
    examples = positions.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def eval_dataset(index: RecordIndex, *, ignore_label: int, limit: int | None = None) -> tf.data.Dataset:
    """The split once, in record order, one example a batch at its own size; features hold 'height', 'width' too."""
    _check_ignore_label(index, ignore_label)
    files, offsets = _table(index)

    def example(row: tf.Tensor) -> tuple[dict, tf.Tensor]:
        image, label, filename = _example(files, offsets, row, index.legal)
        height, width = tf.unstack(tf.shape(label))
        return {'image': image, 'filename': filename, 'number': row, 'height': height, 'width': width}, label

    rows = tf.data.Dataset.range(min(index.num_examples, limit or index.num_examples))
    examples = rows.map(example, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return examples.batch(1, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _check_ignore_label(index: RecordIndex, ignore_label: int) -> None:
    written = index.manifest['ignore_label'] if index.manifest else ignore_label
    if written != ignore_label:
        raise ValueError(f'{index.files[0]} was converted with ignore label {written}, not {ignore_label}')


def _table(index: RecordIndex) -> tuple[tf.Tensor, tf.Tensor]:
    """File name and byte offset of every record of the split."""
    counts = [len(offsets) for offsets in index.offsets]
    return tf.repeat(tf.constant(index.files), counts), tf.constant(np.concatenate(index.offsets))


def _example(files: tf.Tensor, offsets: tf.Tensor, row: tf.Tensor, legal: LegalIds | None
             ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Image float32 [h, w, 3] in 0..255, labels int32 [h, w] and file name of a record, whose ids are checked.

    Records of rishizek/tensorflow-deeplab-v3-plus have no name and are told by their place.
    """
    image, label, filename = decode(read(files[row], offsets[row]))
    if legal:
        label = checked(label, legal, tf.strings.join([
            files[row], ': record at byte ', tf.strings.as_string(offsets[row]), ' (', filename, ')']))
    place = tf.strings.join([files[row], '#', tf.strings.as_string(row)])
    return tf.cast(image, tf.float32), tf.cast(label, tf.int32), tf.where(tf.equal(filename, ''), place, filename)

"""The graph's side of reading a record: what training decodes, and what verification decodes for it."""

import tensorflow as tf

from datasets.records import tfrecord
from datasets.records.ids import LegalIds


def read(file: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The serialised example at a byte offset; DataLossError when its CRC is wrong."""
    return _record(file, offset).get_single_element()


def read_all(places: tf.data.Dataset) -> tf.data.Dataset:
    """The serialised examples at (file, byte offset), each; InvalidArgumentError where the file ends before.

    Not `read` in a map: what it ends with counts as stateful, so that TensorFlow's deterministic mode would neither map
    in parallel nor prefetch (tensorflow/tensorflow@1ac4593:tensorflow/core/grappler/optimizers/data/
    make_deterministic.cc). Left out, a missing example would give its place to the next.
    """
    def one(file: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
        message = tf.strings.join([file, ' is empty from byte ', tf.strings.as_string(offset)])
        return _record(file, offset).concatenate(tf.data.Dataset.from_tensor_slices(message[None]).map(_refuse)).take(1)
    return places.flat_map(one)


def _refuse(message: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.raw_ops.Assert(condition=False, data=[message])]):
        return tf.identity(message)


def _record(file: tf.Tensor, offset: tf.Tensor) -> tf.data.Dataset:
    variant = tf.raw_ops.TFRecordDatasetV2(filenames=file[None], compression_type='', buffer_size=0,
                                           byte_offsets=offset[None], metadata='')
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1)


def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Image uint8 [h, w, 3], labels uint8 [h, w], the file name, and what is wrong with the labels or ''.

    InvalidArgumentError when any can't be read.
    """
    keys = (tfrecord.IMAGE, tfrecord.FILENAME, *tfrecord.LABELS)
    parsed = tf.io.parse_single_example(serialized, {key: tf.io.FixedLenFeature([], tf.string, '') for key in keys})
    # Decodes PNGs as well; INTEGER_ACCURATE makes JPEGs equal to Pillow's.
    image = tf.io.decode_jpeg(parsed[tfrecord.IMAGE], channels=3, dct_method='INTEGER_ACCURATE')
    encoded = tf.strings.join([parsed[key] for key in tfrecord.LABELS])
    is_grey = tf.equal(tf.strings.substr(encoded, 24, 2), tfrecord.GREY_PNG)
    fault = tf.strings.join(['the label of ', parsed[tfrecord.FILENAME], ' is not an 8-bit greyscale PNG of ids'])
    label = tf.io.decode_png(encoded, channels=1)[..., 0]
    return image, label, parsed[tfrecord.FILENAME], tf.where(is_grey, '', fault)


def illegal(label: tf.Tensor, legal: LegalIds, place: tf.Tensor) -> tf.Tensor:
    """What is wrong with the ids of the labels uint8 [h, w] of the record at `place`, or ''; the highest id is named.

    Without a manifest nothing has looked at them before, and a loss takes pixels of other ids for those of no class.
    """
    if legal.ignore_label == 255:  # as mostly: 255 + 1 is 0 in eight bits, much less work
        highest = tf.cast(tf.reduce_max(label + 1), tf.int32) - 1
    else:
        highest = tf.cast(tf.reduce_max(tf.where(tf.equal(label, legal.ignore_label), tf.zeros_like(label), label)),
                          tf.int32)
    fault = tf.strings.join([place, ': its label holds id ', tf.strings.as_string(highest), f'; {legal}'])
    return tf.where(highest < legal.num_classes, '', fault)


def sound(batches: tf.data.Dataset) -> tf.data.Dataset:
    """The (features, labels) of batches (features, labels, faults string [B]); InvalidArgumentError with the faults.

    In a map of its own: an assertion counts as stateful, and must not be where examples are made in parallel.
    """
    def check(features: dict, labels: tf.Tensor, faults: tf.Tensor) -> tuple[dict, tf.Tensor]:
        fine = tf.equal(faults, '')
        message = tf.strings.reduce_join(tf.boolean_mask(faults, ~fine), separator='; ')
        with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(fine), [message])]):
            return features, tf.identity(labels)
    return batches.map(check)

"""The graph's side of reading a record: what training decodes, and what verification decodes for it."""

import tensorflow as tf

from datasets.records import tfrecord
from datasets.records.ids import LegalIds


def read(file: tf.Tensor, offset: tf.Tensor) -> tf.Tensor:
    """The serialised example at a byte offset; DataLossError when its CRC is wrong."""
    variant = tf.raw_ops.TFRecordDatasetV2(filenames=file[None], compression_type='', buffer_size=0,
                                           byte_offsets=offset[None], metadata='')
    return tf.data.experimental.from_variant(variant, tf.TensorSpec([], tf.string)).take(1).get_single_element()


def decode(serialized: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Image uint8 [h, w, 3], labels uint8 [h, w] and the file name; InvalidArgumentError when any can't be read."""
    keys = (tfrecord.IMAGE, tfrecord.FILENAME, *tfrecord.LABELS)
    parsed = tf.io.parse_single_example(serialized, {key: tf.io.FixedLenFeature([], tf.string, '') for key in keys})
    # Decodes PNGs as well; INTEGER_ACCURATE makes JPEGs equal to Pillow's.
    image = tf.io.decode_jpeg(parsed[tfrecord.IMAGE], channels=3, dct_method='INTEGER_ACCURATE')
    encoded = tf.strings.join([parsed[key] for key in tfrecord.LABELS])
    is_grey = tf.equal(tf.strings.substr(encoded, 24, 2), tfrecord.GREY_PNG)
    message = tf.strings.join(['the label of ', parsed[tfrecord.FILENAME], ' is not an 8-bit greyscale PNG of ids'])
    with tf.control_dependencies([tf.debugging.Assert(is_grey, [message])]):
        label = tf.io.decode_png(encoded, channels=1)[..., 0]
    return image, label, parsed[tfrecord.FILENAME]


def checked(label: tf.Tensor, legal: LegalIds, place: tf.Tensor) -> tf.Tensor:
    """The labels uint8 [h, w] of the record at `place`; InvalidArgumentError names the highest id that isn't legal.

    Without a manifest nothing has looked at them before, and a loss takes pixels of other ids for those of no class.
    """
    if legal.ignore_label == 255:  # as mostly: 255 + 1 is 0 in eight bits, much less work
        highest = tf.cast(tf.reduce_max(label + 1), tf.int32) - 1
    else:
        highest = tf.cast(tf.reduce_max(tf.where(tf.equal(label, legal.ignore_label), tf.zeros_like(label), label)),
                          tf.int32)
    message = tf.strings.join([place, ': its label holds id ', tf.strings.as_string(highest), f'; {legal}'])
    # Not in a tf.cond, which takes longer than the looking.
    with tf.control_dependencies([tf.raw_ops.Assert(condition=highest < legal.num_classes, data=[message])]):
        return tf.identity(label)

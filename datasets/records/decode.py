"""The graph's side of reading a record: what training decodes, and what verification decodes for it."""

import tensorflow as tf

from datasets.records import tfrecord


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

"""Max pooling that remembers where, and unpooling to there (SegNet, arXiv:1511.00561, section 3)."""

from deeplab.compat import tf


def max_pool_with_indices(inputs: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """2x2 max pooling of `[N, H, W, C]` with stride 2, and the flat index in the whole batch of each maximum."""
    outputs, indices = tf.nn.max_pool_with_argmax(tf.cast(inputs, tf.float32), [1, 2, 2, 1], [1, 2, 2, 1], 'SAME',
                                                  include_batch_in_index=True, output_dtype=tf.int64)
    return tf.cast(outputs, inputs.dtype), indices


def unpool(inputs: tf.Tensor, indices: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """`inputs` put where the maxima of `like` `[N, H, W, C]` came from, zero elsewhere: `[N, H, W, C]`."""
    shape = tf.shape(like, out_type=tf.int64)
    flat = tf.scatter_nd(tf.reshape(indices, [-1, 1]), tf.reshape(inputs, [-1]), tf.reduce_prod(shape)[tf.newaxis])
    outputs = tf.reshape(flat, shape)
    outputs.set_shape(like.shape)
    return outputs

"""Squeeze-and-excitation (Hu et al., 2018, arXiv:1709.01507)."""

from deeplab.compat import tf
from deeplab.layers.average import image_mean
from deeplab.layers.conv import biases, conv2d


def squeeze_excite(inputs: tf.Tensor, ratio: int, *, scope: str) -> tf.Tensor:
    """`[N, h, w, C]` times a gate per image and channel, through C / `ratio` channels."""
    depth = inputs.shape.as_list()[-1]
    options = {'initializer': tf.glorot_uniform_initializer(), 'normalizer': biases}
    with tf.variable_scope(scope):
        gate = image_mean(inputs)
        gate = conv2d(gate, max(1, depth // ratio), 1, scope='fc1', activation=tf.nn.relu, **options)
        return inputs * conv2d(gate, depth, 1, scope='fc2', activation=tf.nn.sigmoid, **options)

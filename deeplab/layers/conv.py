"""Convolutions, batch norm and dropout on tf.nn, with slim's variable names.

`model_scope` (layers/scope.py) sets the batch-norm mode and must be open; a backbone or a head sets its constants
(decay, epsilon) and initialisers with the list form of `slim.arg_scope`.
"""

import zlib

from deeplab.compat import slim, tf

BATCH_NORM_MODES = ('train', 'freeze_statistics', 'freeze')


@slim.add_arg_scope
def batch_norm(inputs, *, mode, decay, epsilon, decay_override=None, scope='BatchNorm'):
    """Batch norm with gamma and beta; see `model_scope` for the modes.

    In mode 'train' the moving averages' updates go to UPDATE_OPS, the variance with Bessel's correction (as the fused
    kernel returns it). Under a distribution strategy each replica updates its own copy, and they are read as a mean.
    """
    channels = [inputs.shape.as_list()[-1]]
    with tf.variable_scope(scope):
        gamma = slim.model_variable('gamma', channels, initializer=tf.ones_initializer(), trainable=mode != 'freeze')
        beta = slim.model_variable('beta', channels, initializer=tf.zeros_initializer(), trainable=mode != 'freeze')
        moving_mean = _moving_average('moving_mean', channels, tf.zeros_initializer())
        moving_variance = _moving_average('moving_variance', channels, tf.ones_initializer())
        if mode != 'train':
            return tf.nn.fused_batch_norm(
                inputs, gamma, beta, moving_mean, moving_variance, epsilon=epsilon, is_training=False)[0]
        outputs, mean, variance = tf.nn.fused_batch_norm(inputs, gamma, beta, epsilon=epsilon, is_training=True)
        momentum = 1.0 - (decay if decay_override is None else decay_override)
        for moving, batch in ((moving_mean, mean), (moving_variance, variance)):
            tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, moving.assign_sub((moving - batch) * momentum))
        return outputs


def _moving_average(name, shape, initializer):
    return slim.model_variable(
        name, shape, initializer=initializer, trainable=False,
        synchronization=tf.VariableSynchronization.ON_READ, aggregation=tf.VariableAggregation.MEAN)


def biases(inputs):
    """Adds a bias per channel: what stands in place of batch norm in logits, gates and ResNet v2."""
    channels = [inputs.shape.as_list()[-1]]
    return tf.nn.bias_add(inputs, slim.model_variable('biases', channels, initializer=tf.zeros_initializer()))


@slim.add_arg_scope
def conv2d(inputs, filters, kernel_size, *, scope, initializer, stride=1, rate=1, padding='SAME',
           normalizer=batch_norm, activation=tf.nn.relu, weights='weights'):
    """Dense convolution, then `normalizer` (batch_norm, biases or None), then `activation` (or None).

    `kernel_size` and `rate` are one number or (height, width). Padding 'FIXED' pads a strided convolution symmetrically
    by the kernel alone, where SAME pads one less on even sizes; with stride 1 they agree. `weights` names the kernel.
    """
    with tf.variable_scope(scope):
        kernel = _pair(kernel_size)
        weights = slim.model_variable(weights, [*kernel, inputs.shape.as_list()[-1], filters], initializer=initializer)
        inputs, padding = _pad(inputs, kernel, stride, padding)
        # Native dilation: 2 to 5 times as fast on a CPU as space-to-batch, with the same values and gradients.
        outputs = tf.nn.conv2d(inputs, weights, [1, stride, stride, 1], padding, dilations=[1, *_pair(rate), 1])
        return _finish(outputs, normalizer, activation)


@slim.add_arg_scope
def depthwise_conv2d(inputs, kernel_size, *, scope, initializer, stride=1, rate=1, padding='SAME',
                     normalizer=batch_norm, activation=tf.nn.relu):
    """Depthwise convolution with multiplier 1; the arguments of `conv2d`."""
    with tf.variable_scope(scope):
        kernel = _pair(kernel_size)
        weights = slim.model_variable(
            'depthwise_weights', [*kernel, inputs.shape.as_list()[-1], 1], initializer=initializer)
        inputs, padding = _pad(inputs, kernel, stride, padding)
        # `rate` goes through space-to-batch. The native kernel with `dilations` has silently wrong gradients on a CPU,
        # and without oneDNN no kernel at all, so an exported model wouldn't be portable.
        outputs = tf.nn.depthwise_conv2d(inputs, weights, [1, stride, stride, 1], padding, rate=_pair(rate))
        return _finish(outputs, normalizer, activation)


def separable_conv2d(inputs, filters, *, scope, depthwise_initializer, pointwise_initializer, kernel_size=3, stride=1,
                     rate=1, padding='SAME', depthwise_activation=tf.nn.relu, activation=tf.nn.relu):
    """`<scope>_depthwise` then `<scope>_pointwise`, each with batch norm and an activation of its own."""
    outputs = depthwise_conv2d(
        inputs, kernel_size, scope=f'{scope}_depthwise', initializer=depthwise_initializer, stride=stride, rate=rate,
        padding=padding, activation=depthwise_activation)
    return conv2d(outputs, filters, 1, scope=f'{scope}_pointwise', initializer=pointwise_initializer,
                  activation=activation)


def dropout(inputs, rate: float, *, training: bool, scope: str):
    """Dropout by (graph seed, scope, global step, replica) alone, so that a resumed run repeats its masks."""
    if not training or rate == 0:
        return inputs
    parent = tf.get_variable_scope().name
    name = f'{parent}/{scope}' if parent else scope
    layer = zlib.crc32(name.encode()) ^ (tf.get_default_graph().seed or 0)
    replicas = tf.distribute.get_replica_context()
    step = tf.cast(tf.train.get_or_create_global_step(), tf.int64) * replicas.num_replicas_in_sync
    step += tf.cast(replicas.replica_id_in_sync_group, tf.int64)
    with tf.name_scope(scope):
        return tf.nn.experimental.stateless_dropout(
            inputs, rate, seed=tf.stack([tf.constant(layer, tf.int64), step]), rng_alg='philox')


def _pair(value):
    return [value, value] if isinstance(value, int) else list(value)


def _pad(inputs, kernel, stride, padding):
    if padding != 'FIXED' or stride == 1:
        return inputs, 'SAME' if padding == 'FIXED' else padding
    height, width = (((size - 1) // 2, (size - 1) - (size - 1) // 2) for size in kernel)
    return tf.pad(inputs, [(0, 0), height, width, (0, 0)]), 'VALID'


def _finish(outputs, normalizer, activation):
    outputs = normalizer(outputs) if normalizer else outputs
    return activation(outputs) if activation else outputs

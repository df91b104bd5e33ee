"""Convolutions, batch norm and dropout on tf.nn, with slim's variable names.

`model_scope` (layers/scope.py) sets the batch-norm mode and must be open; a backbone or a head sets its constants
(decay, epsilon) and initialisers with the list form of `slim.arg_scope`.
"""

import functools
import zlib
from collections.abc import Callable, Sequence
from typing import TypeAlias

from deeplab.compat import slim, tf
from deeplab.kernels import batch_norm as kernel
from deeplab.layers.precision import as_features, in_float32
from deeplab.layers.resize import Size

Layer: TypeAlias = Callable[[tf.Tensor], tf.Tensor]  # an activation or what normalises
Initializer: TypeAlias = Callable[..., tf.Tensor]
Sides: TypeAlias = int | Sequence[int]  # one number, or (height, width)

BATCH_NORM_MODES = ('train', 'freeze_statistics', 'freeze')


@slim.add_arg_scope
def batch_norm(inputs: tf.Tensor, *, mode: str, decay: float, epsilon: float, decay_override: float | None = None,
               activation: Layer | None = None, added: tf.Tensor | None = None, scaled: Layer | None = None,
               own: bool = False, scope: str = 'BatchNorm') -> tf.Tensor:
    """activation(scaled(batch norm with gamma and beta) + `added`), each of the three or None.

    `scaled` multiplies each channel of an image, as spatial dropout does. See `model_scope` for the modes.

    In mode 'train' the moving averages' updates go to UPDATE_OPS, the variance with Bessel's correction (as the fused
    kernel returns it). Of several replicas they move towards the mean of the statistics: see `update_over_replicas`.
    `own` takes our kernel in place of TensorFlow's, with the activation in it where it knows that.
    """
    inside = activation if own and (activation in INSIDE or isinstance(activation, PRelu)) else None
    normalise = functools.partial(_by_our_kernel, inside, added, scaled) if own else _by_tensorflow
    outputs = _normalised(inputs, normalise, mode, decay if decay_override is None else decay_override, epsilon, scope)
    return _follow(outputs, *(None, None) if own else (scaled, added), None if inside else activation)


def relu_of_identity(inputs: tf.Tensor) -> tf.Tensor:
    """ReLU, behind an identity where a bounded net clips: initial values go by the number of operations."""
    return tf.nn.relu(tf.identity(inputs))


INSIDE = {**kernel.ACTIVATIONS, relu_of_identity: 'relu'}  # what our kernel does by itself


def _normalised(inputs: tf.Tensor, normalise: Callable[..., Sequence[tf.Tensor]], mode: str, decay: float,
                epsilon: float, scope: str) -> tf.Tensor:
    channels = [inputs.shape.as_list()[-1]]
    with tf.variable_scope(scope):
        gamma = slim.model_variable('gamma', channels, initializer=tf.ones_initializer(), trainable=mode != 'freeze')
        beta = slim.model_variable('beta', channels, initializer=tf.zeros_initializer(), trainable=mode != 'freeze')
        moving_mean = _moving_average('moving_mean', channels, tf.zeros_initializer())
        moving_variance = _moving_average('moving_variance', channels, tf.ones_initializer())
        if mode != 'train':
            return normalise(inputs, gamma, beta, epsilon, (moving_mean, moving_variance))[0]
        outputs, mean, variance = normalise(inputs, gamma, beta, epsilon, ())
        momentum = 1.0 - decay
        for moving, batch in ((moving_mean, mean), (moving_variance, variance)):
            if tf.distribute.get_strategy().num_replicas_in_sync > 1:
                tf.add_to_collection(_pending(), (moving, batch, momentum))
            else:
                tf.add_to_collection(tf.GraphKeys.UPDATE_OPS, _move(moving, batch, momentum))
        return outputs


def _by_tensorflow(inputs: tf.Tensor, gamma: tf.Variable, beta: tf.Variable, epsilon: float,
                   statistics: Sequence[tf.Variable]) -> Sequence[tf.Tensor]:
    return tf.nn.fused_batch_norm(inputs, gamma, beta, *statistics, epsilon=epsilon, is_training=not statistics)


def _by_our_kernel(activation: Layer | None, added: tf.Tensor | None, scaled: Layer | None, inputs: tf.Tensor,
                   gamma: tf.Variable, beta: tf.Variable, epsilon: float, statistics: Sequence[tf.Variable]
                   ) -> Sequence[tf.Tensor]:
    channels = inputs.shape.as_list()[-1]
    ones = tf.ones([tf.shape(inputs)[0], *[1] * (inputs.shape.rank - 2), channels]) if scaled else None
    factors = scaled(ones) if scaled else None
    return kernel.batch_norm(
        inputs, gamma, beta, epsilon=epsilon, statistics=statistics, added=added, factors=factors,
        activation='prelu' if isinstance(activation, PRelu) else INSIDE[activation],
        alpha=activation.alpha(channels) if isinstance(activation, PRelu) else None)


def _moving_average(name: str, shape: list[int], initializer: Initializer) -> tf.Variable:
    return slim.model_variable(name, shape, initializer=initializer, trainable=False)


def _move(moving: tf.Variable, batch: tf.Tensor, momentum: float) -> tf.Tensor:
    return moving.assign_sub((moving - batch) * momentum)


def _pending() -> str:
    """The collection of this replica's updates that wait for the other replicas."""
    replica = tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group)
    return f'deeplab/moving_averages/{replica}'


def pending_updates() -> list:
    """The collection itself; a layer that is built once more for its gradient must not stay in it."""
    return tf.get_collection_ref(_pending())


def update_over_replicas() -> list[tf.Operation]:
    """The updates of all moving averages by the replicas' mean statistics, in the order of the layers.

    Every replica then has the same averages, so a checkpoint holds them bit by bit. One merge call for all layers: in
    between, the other replicas' threads would meet the argument scopes that this one has open.
    """
    pending = list(pending_updates())
    if not pending:
        return []
    averages, batches, momenta = zip(*pending, strict=True)
    replica = tf.distribute.get_replica_context()
    return [replica.merge_call(_update_all, args=(list(averages), list(batches)), kwargs={'momenta': momenta})]


def _update_all(strategy: tf.distribute.Strategy, averages: Sequence[tf.Variable], batches: Sequence[tf.Tensor],
                momenta: Sequence[float]) -> tf.Operation:
    means = strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.MEAN, list(zip(batches, averages, strict=True)))
    done: dict[str, tf.Operation] = {}  # of each average the latest update; several batches of a step come in turn
    for average, mean, momentum in zip(averages, means, momenta, strict=True):
        with tf.control_dependencies([done[average.name]] if average.name in done else []):
            done[average.name] = strategy.extended.update(average, _move, args=(mean, momentum))
    return tf.group(*done.values())


def biases(inputs: tf.Tensor) -> tf.Tensor:
    """Adds a bias per channel: what stands in place of batch norm in logits, gates and ResNet v2."""
    channels = [inputs.shape.as_list()[-1]]
    added = slim.model_variable('biases', channels, initializer=tf.zeros_initializer())
    return tf.nn.bias_add(inputs, tf.cast(added, inputs.dtype))


@slim.add_arg_scope
def conv2d(inputs: tf.Tensor, filters: int, kernel_size: Sides, *, scope: str, initializer: Initializer,
           stride: int = 1, rate: Sides = 1, padding: str = 'SAME', normalizer: Layer | None = batch_norm,
           activation: Layer | None = tf.nn.relu, added: tf.Tensor | None = None, scaled: Layer | None = None,
           weights: str = 'weights') -> tf.Tensor:
    """Dense convolution, then `normalizer` (batch_norm, biases or None), then `activation` (or None).

    Between these two each channel of an image may be `scaled`, and a tensor of the same shape `added`.

    `kernel_size` and `rate` are one number or (height, width). Padding 'FIXED' pads a strided convolution symmetrically
    by the kernel alone, where SAME pads one less on even sizes; with stride 1 they agree. `weights` names the kernel.
    """
    with tf.variable_scope(scope):
        kernel = _pair(kernel_size)
        weights = slim.model_variable(weights, [*kernel, inputs.shape.as_list()[-1], filters], initializer=initializer)
        inputs, weights = as_features(inputs), as_features(weights)
        inputs, padding = _pad(inputs, kernel, stride, padding)
        # Native dilation: 2 to 5 times as fast on a CPU as space-to-batch, with the same values and gradients.
        outputs = tf.nn.conv2d(inputs, weights, [1, stride, stride, 1], padding, dilations=[1, *_pair(rate), 1])
        return _finish(outputs, normalizer, activation, added, scaled)


@slim.add_arg_scope
def depthwise_conv2d(inputs: tf.Tensor, kernel_size: Sides, *, scope: str, initializer: Initializer, stride: int = 1,
                     rate: Sides = 1, padding: str = 'SAME', normalizer: Layer | None = batch_norm,
                     activation: Layer | None = tf.nn.relu) -> tf.Tensor:
    """Depthwise convolution with multiplier 1; the arguments of `conv2d`."""
    with tf.variable_scope(scope):
        kernel = _pair(kernel_size)
        weights = slim.model_variable(
            'depthwise_weights', [*kernel, inputs.shape.as_list()[-1], 1], initializer=initializer)
        inputs, weights = as_features(inputs), as_features(weights)
        inputs, padding = _pad(inputs, kernel, stride, padding)
        # `rate` goes through space-to-batch. The native kernel with `dilations` has silently wrong gradients on a CPU,
        # and without oneDNN no kernel at all, so an exported model wouldn't be portable.
        outputs = tf.nn.depthwise_conv2d(inputs, weights, [1, stride, stride, 1], padding, rate=_pair(rate))
        return _finish(outputs, normalizer, activation)


def conv2d_transpose(inputs: tf.Tensor, filters: int, kernel_size: Sides, *, scope: str, initializer: Initializer,
                     size: Size, stride: int = 2, normalizer: Layer | None = batch_norm,
                     activation: Layer | None = tf.nn.relu) -> tf.Tensor:
    """Transposed convolution to the spatial `size`, that of the features which SAME striding made the inputs from."""
    with tf.variable_scope(scope):
        weights = slim.model_variable(
            'weights', [*_pair(kernel_size), filters, inputs.shape.as_list()[-1]], initializer=initializer)
        shape = tf.stack([tf.shape(inputs)[0], *size, filters])
        inputs, weights = as_features(inputs), as_features(weights)
        outputs = tf.nn.conv2d_transpose(inputs, weights, shape, [1, stride, stride, 1], 'SAME')
        outputs.set_shape([inputs.shape[0], *(side if isinstance(side, int) else None for side in size), filters])
        return _finish(outputs, normalizer, activation)


class PRelu:
    """max(x, 0) + a min(x, 0) with a learnt slope per channel (He et al., 2015, arXiv:1502.01852, section 2.1).

    Its variable is `<name>/alpha` of the variable scope in which this is made.
    """

    def __init__(self, name: str = 'prelu', initial: float = 0.25) -> None:
        self._scope, self._name, self._initial = tf.get_variable_scope(), name, initial

    def alpha(self, channels: int) -> tf.Variable:
        with tf.variable_scope(self._scope, auxiliary_name_scope=False), tf.variable_scope(self._name):
            return slim.model_variable('alpha', [channels], initializer=tf.constant_initializer(self._initial))

    def __call__(self, inputs: tf.Tensor) -> tf.Tensor:
        slope = self.alpha(inputs.shape.as_list()[-1])
        return in_float32(lambda each: tf.nn.relu(each) - slope * tf.nn.relu(-each), inputs)


def in_this_scope(layer: Layer) -> Layer:
    """The layer, with the variables and random numbers of the variable scope that is open now."""
    scope = tf.get_variable_scope()

    def placed(inputs: tf.Tensor) -> tf.Tensor:
        with tf.variable_scope(scope, auxiliary_name_scope=False):
            return layer(inputs)

    return placed


def separable_conv2d(inputs: tf.Tensor, filters: int, *, scope: str, depthwise_initializer: Initializer,
                     pointwise_initializer: Initializer, kernel_size: Sides = 3, stride: int = 1, rate: Sides = 1,
                     padding: str = 'SAME', depthwise_activation: Layer | None = tf.nn.relu,
                     activation: Layer | None = tf.nn.relu) -> tf.Tensor:
    """`<scope>_depthwise` then `<scope>_pointwise`, each with batch norm and an activation of its own."""
    outputs = depthwise_conv2d(
        inputs, kernel_size, scope=f'{scope}_depthwise', initializer=depthwise_initializer, stride=stride, rate=rate,
        padding=padding, activation=depthwise_activation)
    return conv2d(outputs, filters, 1, scope=f'{scope}_pointwise', initializer=pointwise_initializer,
                  activation=activation)


@slim.add_arg_scope
def dropout(inputs: tf.Tensor, rate: float, *, training: bool, scope: str, spatial: bool = False,
            part: tuple[int, int] = (0, 1)) -> tf.Tensor:
    """Dropout by (graph seed, scope, global step, replica, part) alone, so that a resumed run repeats its masks.

    `part` (i, n) is the i-th of n micro-batches; `model_scope` sets it.

    `spatial` drops whole channels (Tompson et al., 2015, arXiv:1411.4280, section 3.2).
    """
    if not training or rate == 0:
        return inputs
    with tf.name_scope(scope):
        return in_float32(lambda each: tf.nn.experimental.stateless_dropout(
            each, rate, seed=step_seed(scope, part), rng_alg='philox',
            noise_shape=[tf.shape(inputs)[0], 1, 1, inputs.shape.as_list()[-1]] if spatial else None), inputs)


def step_seed(scope: str, part: tuple[int, int]) -> tf.Tensor:
    """The int64 `[2]` that a layer draws with: another in every layer, step, replica and micro-batch."""
    parent = tf.get_variable_scope().name
    name = f'{parent}/{scope}' if parent else scope
    layer = zlib.crc32(name.encode()) ^ (tf.get_default_graph().seed or 0)
    replicas = tf.distribute.get_replica_context()
    step = tf.cast(tf.train.get_or_create_global_step(), tf.int64) * replicas.num_replicas_in_sync
    step = (step + tf.cast(replicas.replica_id_in_sync_group, tf.int64)) * part[1] + part[0]
    return tf.stack([tf.constant(layer, tf.int64), step])


def _pair(value: Sides) -> list[int]:
    return [value, value] if isinstance(value, int) else list(value)


def _pad(inputs: tf.Tensor, kernel: Sequence[int], stride: int, padding: str) -> tuple[tf.Tensor, str]:
    if padding != 'FIXED' or stride == 1:
        return inputs, 'SAME' if padding == 'FIXED' else padding
    height, width = (((size - 1) // 2, (size - 1) - (size - 1) // 2) for size in kernel)
    return tf.pad(inputs, [(0, 0), height, width, (0, 0)]), 'VALID'


def _finish(outputs: tf.Tensor, normalizer: Layer | None, activation: Layer | None, added: tf.Tensor | None = None,
            scaled: Layer | None = None) -> tf.Tensor:
    does_all = normalizer is batch_norm
    if does_all:
        return batch_norm(outputs, activation=activation, added=added, scaled=scaled)
    return _follow(normalizer(outputs) if normalizer else outputs, scaled, added, activation)


def _follow(outputs: tf.Tensor, scaled: Layer | None, added: tf.Tensor | None, activation: Layer | None) -> tf.Tensor:
    outputs = scaled(outputs) if scaled else outputs
    outputs = outputs if added is None else added + outputs
    return activation(outputs) if activation else outputs

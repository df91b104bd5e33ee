"""Learning rate schedules, optimizers, gradient multipliers and the op of one training step."""

import math

from deeplab.compat import tf
from deeplab.schema import Optimizer, Schedule


def _poly(schedule, step, decay_steps):
    left = 1 - tf.minimum(step, decay_steps) / decay_steps
    return schedule.end_learning_rate + (schedule.learning_rate - schedule.end_learning_rate) * left ** schedule.power


def _cosine(schedule, step, decay_steps):
    left = (1 + tf.cos(math.pi * tf.minimum(step, decay_steps) / decay_steps)) / 2
    return schedule.end_learning_rate + (schedule.learning_rate - schedule.end_learning_rate) * left


def _step(schedule, step, decay_steps):
    return schedule.learning_rate * schedule.decay_factor ** tf.floor(step / schedule.step_size)


def _piecewise(schedule, step, decay_steps):
    """A boundary still belongs to the interval before it, as in `tf.train.piecewise_constant`."""
    boundaries, values = schedule.boundaries, schedule.values
    if len(values) != len(boundaries) + 1 or any(a >= b for a, b in zip(boundaries, boundaries[1:], strict=False)):
        raise ValueError(f'piecewise needs ascending boundaries and one value more than there are boundaries, '
                         f'not boundaries {boundaries} and values {values}')
    passed = tf.reduce_sum(tf.cast(step > tf.constant(boundaries, tf.float64), tf.int32))
    return tf.constant(values, tf.float64)[passed]


def _constant(schedule, step, decay_steps):
    return tf.constant(schedule.learning_rate, tf.float64)


# policy -> f(schedule, step, decay_steps), step counted from the end of the slow start and the warm-up
SCHEDULES = {'poly': _poly, 'step': _step, 'piecewise': _piecewise, 'cosine': _cosine, 'constant': _constant}


def learning_rate(schedule: Schedule, step: tf.Tensor, max_steps: int) -> tf.Tensor:
    """The float32 rate of a global step.

    Counted from `schedule.start_step` (before it the first rate holds): the slow start's constant rate, then the linear
    warm-up from 0, then the policy over decay_steps or what is left of max_steps.
    """
    if schedule.policy not in SCHEDULES:
        raise ValueError(f'schedule.policy {schedule.policy!r} is none of {", ".join(SCHEDULES)}')
    before = schedule.slow_start_steps + schedule.warmup_steps
    decay_steps = schedule.decay_steps or max_steps - schedule.start_step - before
    if decay_steps <= 0:
        raise ValueError(f'nothing is left of max_steps {max_steps} after start_step {schedule.start_step}, '
                         f'slow_start_steps {schedule.slow_start_steps} and warmup_steps {schedule.warmup_steps}')
    # Near the end of poly, 1 - step / decay_steps has only a few digits left in float32.
    step = tf.maximum(tf.cast(step, tf.float64) - schedule.start_step, 0)
    rate = SCHEDULES[schedule.policy](schedule, tf.maximum(step - before, 0), decay_steps)
    if schedule.warmup_steps:
        rate *= tf.clip_by_value((step - schedule.slow_start_steps) / schedule.warmup_steps, 0, 1)
    if schedule.slow_start_steps:
        slow = tf.constant(schedule.slow_start_learning_rate, tf.float64)
        rate = tf.where(step < schedule.slow_start_steps, slow, rate)
    return tf.cast(rate, tf.float32)


# name -> f(learning rate, momentum, epsilon)
OPTIMIZERS = {
    'momentum': lambda rate, momentum, epsilon: tf.train.MomentumOptimizer(rate, momentum),
    'adam': lambda rate, momentum, epsilon: tf.train.AdamOptimizer(rate, epsilon=epsilon),
    'rmsprop': lambda rate, momentum, epsilon: tf.train.RMSPropOptimizer(rate, momentum=momentum, epsilon=epsilon),
    'sgd': lambda rate, momentum, epsilon: tf.train.GradientDescentOptimizer(rate),
}


def make_optimizer(name: str, learning_rate, *, momentum: float = 0.9, epsilon: float = 1e-8) -> tf.train.Optimizer:
    """The optimizer of that name, a key of OPTIMIZERS; those without momentum or epsilon leave it aside."""
    if name not in OPTIMIZERS:
        raise ValueError(f'optimizer {name!r} is none of {", ".join(OPTIMIZERS)}')
    return OPTIMIZERS[name](learning_rate, momentum, epsilon)


# Parts of the names of the variables that official DeepLab trains faster and leaves out of a new head.
LAST_LAYERS = ('logits', 'image_pooling', 'aspp', 'concat_projection', 'decoder', 'meta_architecture')


def last_layers(options: Optimizer) -> tuple[str, ...]:
    """Parts of the names of the variables that a recipe takes for last layers."""
    return ('logits',) if options.last_layers_contain_logits_only else LAST_LAYERS


def gradient_multipliers(variables, last_layer_multiplier: float = 1.0, scopes: tuple[str, ...] = LAST_LAYERS,
                         bias_multiplier: float = 2.0) -> dict[str, float]:
    """{variable name: factor of its gradient}: last layers have one of `scopes` anywhere in their name, and the biases'
    factor comes on top. Official DeepLab doubles biases always; the ones of BatchNorm (beta) aren't meant."""
    names = [variable_name(variable) for variable in variables]
    return {name: (last_layer_multiplier if any(scope in name for scope in scopes) else 1.0)
            * (bias_multiplier if 'biases' in name else 1.0) for name in names}


def variable_name(variable) -> str:
    """Its name in a checkpoint; `.op.name` of a mirrored variable would carry the replica's suffix."""
    return variable.name.split(':')[0]


def train_op(loss, optimizer, global_step, *, multipliers, variables, update_ops, clip_norm=None) -> tf.Operation:
    """One step: gradients of the loss, clipped to a global norm of `clip_norm`, times `multipliers`, applied.

    Under a strategy `loss` is the replica's mean: a v1 optimizer in Estimator divides it, with the weight decay, by the
    number of replicas and sums the gradients over them. ValueError when a variable has no gradient.
    """
    gradients, variables = zip(*optimizer.compute_gradients(loss, list(variables)), strict=True)
    without = [variable_name(v) for g, v in zip(gradients, variables, strict=True) if g is None]
    if without:
        raise ValueError(f'the loss does not depend on these variables: {", ".join(without)}')
    if clip_norm is not None:
        gradients = _clip(gradients, clip_norm)
    factors = [multipliers.get(variable_name(v), 1.0) for v in variables]
    gradients = [g if factor == 1 else g * factor for g, factor in zip(gradients, factors, strict=True)]
    applied = optimizer.apply_gradients(list(zip(gradients, variables, strict=True)), global_step)
    return tf.group(applied, *update_ops)


def _clip(gradients, clip_norm):
    """Clips by the norm of the sum over replicas, of which each then contributes an equal part."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        # Not `all_reduce`: in graph mode its custom gradient looks for variables by their replica's name and fails.
        gradients = tf.distribute.get_replica_context().merge_call(_sum_over_replicas, args=(gradients,))
    clipped, _ = tf.clip_by_global_norm(gradients, clip_norm)
    return [g / replicas for g in clipped]


def _sum_over_replicas(strategy, gradients):
    return strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.SUM, [(g, g) for g in gradients])

"""Learning rate schedules, optimizers, multipliers and the op of one training step."""

import math
import re
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from console.choices import choose
from deeplab.compat import tf
from deeplab.recipes.schema import Optimizer, Schedule


def _poly(schedule: Schedule, step: tf.Tensor, decay_steps: int) -> tf.Tensor:
    left = 1 - tf.minimum(step, decay_steps) / decay_steps
    return schedule.end_learning_rate + (schedule.learning_rate - schedule.end_learning_rate) * left ** schedule.power


def _cosine(schedule: Schedule, step: tf.Tensor, decay_steps: int) -> tf.Tensor:
    left = (1 + tf.cos(math.pi * tf.minimum(step, decay_steps) / decay_steps)) / 2
    return schedule.end_learning_rate + (schedule.learning_rate - schedule.end_learning_rate) * left


def _step(schedule: Schedule, step: tf.Tensor, decay_steps: int) -> tf.Tensor:
    return schedule.learning_rate * schedule.decay_factor ** tf.floor(step / schedule.step_size)


def _exponential(schedule: Schedule, step: tf.Tensor, decay_steps: int) -> tf.Tensor:
    """Policy step without the steps: decay_factor once every step_size, evenly spread."""
    return schedule.learning_rate * schedule.decay_factor ** (step / schedule.step_size)


def _piecewise(schedule: Schedule, step: tf.Tensor, decay_steps: int) -> tf.Tensor:
    """A boundary still belongs to the interval before it, as in `tf.train.piecewise_constant`."""
    boundaries, values = schedule.boundaries, schedule.values
    if len(values) != len(boundaries) + 1 or any(a >= b for a, b in pairwise(boundaries)):
        raise ValueError(f'piecewise needs ascending boundaries and one value more than there are boundaries, '
                         f'not boundaries {boundaries} and values {values}')
    passed = tf.reduce_sum(tf.cast(step > tf.constant(boundaries, tf.float64), tf.int32))
    return tf.constant(values, tf.float64)[passed]


def _constant(schedule: Schedule, step: tf.Tensor, decay_steps: int) -> tf.Tensor:
    return tf.constant(schedule.learning_rate, tf.float64)


# policy -> f(schedule, step, decay_steps), step counted from the end of the slow start and the warm-up
SCHEDULES = {'poly': _poly, 'step': _step, 'exponential': _exponential, 'piecewise': _piecewise, 'cosine': _cosine,
             'constant': _constant}


def learning_rate(schedule: Schedule, step: tf.Tensor, max_steps: int) -> tf.Tensor:
    """The float32 rate of a global step.

    Counted from `schedule.start_step` (before it the first rate holds): the slow start's constant rate, then the linear
    warm-up from 0, then the policy over decay_steps or what is left of max_steps.
    """
    if schedule.unit != 'steps':
        raise ValueError(f'the schedule counts in {schedule.unit}; deeplab.recipes.epochs.in_steps makes steps of it')
    policy = choose('schedule.policy', schedule.policy, SCHEDULES)
    before = schedule.slow_start_steps + schedule.warmup_steps
    decay_steps = schedule.decay_steps or max_steps - schedule.start_step - before
    if decay_steps <= 0:
        raise ValueError(f'nothing is left of max_steps {max_steps} after start_step {schedule.start_step}, '
                         f'slow_start_steps {schedule.slow_start_steps} and warmup_steps {schedule.warmup_steps}')
    # Near the end of poly, 1 - step / decay_steps has only a few digits left in float32.
    step = tf.maximum(tf.cast(step, tf.float64) - schedule.start_step, 0)
    rate = policy(schedule, tf.maximum(step - before, 0), decay_steps)
    if schedule.warmup_steps:
        rate *= tf.clip_by_value((step - schedule.slow_start_steps) / schedule.warmup_steps, 0, 1)
    if schedule.slow_start_steps:
        slow = tf.constant(schedule.slow_start_learning_rate, tf.float64)
        rate = tf.where(step < schedule.slow_start_steps, slow, rate)
    return tf.cast(rate, tf.float32)


class _Multiplied(tf.train.Optimizer):
    """An optimizer whose learning rate is another for each variable: the rate times its multiplier."""

    rate = ''  # the attribute in which TensorFlow's class keeps it

    def multiply(self, options: Optimizer) -> tf.train.Optimizer:
        """Itself, with the multipliers of these options once it knows the variables."""
        self._options = options
        return self

    def _create_slots(self, var_list: Sequence[tf.Variable]) -> None:
        super()._create_slots(var_list)
        self._factors = gradient_multipliers([variable_name(v) for v in var_list], self._options)

    def _resource_apply_dense(self, grad: tf.Tensor, var: tf.Variable) -> tf.Operation:
        factor = self._factors[re.sub(r'/replica_\d+$', '', variable_name(var))]
        whole = getattr(self, self.rate)
        setattr(self, self.rate, whole if factor == 1 else whole * factor)
        try:
            return super()._resource_apply_dense(grad, var)
        finally:
            setattr(self, self.rate, whole)


class _MultipliedAdam(_Multiplied, tf.train.AdamOptimizer):
    rate = '_lr_t'


class _MultipliedRMSProp(_Multiplied, tf.train.RMSPropOptimizer):
    rate = '_learning_rate_tensor'


def _adam(rate: tf.Tensor, options: Optimizer) -> tf.train.Optimizer:
    values = rate, options.beta1, options.beta2, options.epsilon
    if options.multiply == 'gradient':
        return tf.train.AdamOptimizer(*values)
    return _MultipliedAdam(*values, name='Adam').multiply(options)


def _rmsprop(rate: tf.Tensor, options: Optimizer) -> tf.train.Optimizer:
    values = {'learning_rate': rate, 'momentum': options.momentum, 'epsilon': options.epsilon}
    if options.multiply == 'gradient':
        return tf.train.RMSPropOptimizer(**values)
    return _MultipliedRMSProp(**values, name='RMSProp').multiply(options)


# name -> f(learning rate, options)
OPTIMIZERS = {
    'momentum': lambda rate, options: tf.train.MomentumOptimizer(rate, options.momentum),
    'adam': _adam,
    'rmsprop': _rmsprop,
    'sgd': lambda rate, options: tf.train.GradientDescentOptimizer(rate),
}
# Those that divide a gradient by its size, so that a factor of it comes to nothing but for their epsilon.
NORMALISING = ('adam', 'rmsprop')


def make_optimizer(options: Optimizer, learning_rate: tf.Tensor) -> tf.train.Optimizer:
    """The optimizer of that name, a key of OPTIMIZERS; each takes of the options what it has."""
    return choose('optimizer.name', options.name, OPTIMIZERS)(learning_rate, options)


# Parts of the names of the variables that official DeepLab trains faster and leaves out of a new head.
LAST_LAYERS = ('logits', 'image_pooling', 'aspp', 'concat_projection', 'decoder', 'meta_architecture')


def last_layers(names: Collection[str], options: Optimizer) -> tuple[str, ...]:
    """Those of the variables' names that a recipe takes for last layers: one of the parts is anywhere in them.

    The official DeepLab multiplies by this rule, and leaves out of a new head what begins with a part
    (mach-12/models@3880236:research/deeplab/utils/train_utils.py); the names of its own nets make no difference, those
    of auxiliary heads do.
    """
    return tuple(name for name in names if any(part in name for part in last_layer_parts(options)))


def last_layer_parts(options: Optimizer) -> tuple[str, ...]:
    """What is in the names of a recipe's last layers, one or the other."""
    return ('logits',) if options.last_layers_contain_logits_only else LAST_LAYERS


def gradient_multipliers(names: Collection[str], options: Optimizer) -> dict[str, float]:
    """{variable name: factor of its gradient or update}, the product of all that apply.

    Official DeepLab doubles biases always; the ones of BatchNorm (beta) aren't meant. Each pattern of
    `options.multipliers` is searched for in the names.

    Raises:
      ValueError: a pattern that matches no name or isn't a regular expression, a factor that isn't a number >= 0.
    """
    last = set(last_layers(names, options))
    factors = {name: (options.last_layer_multiplier if name in last else 1.0)
               * (options.bias_multiplier if 'biases' in name else 1.0) for name in names}
    for pattern, factor in options.multipliers.items():
        if type(factor) not in (int, float) or factor < 0:
            raise ValueError(f'optimizer.multipliers: {factor!r} of {pattern!r} is not a number of at least 0')
        for name in _matching(pattern, factors):
            factors[name] *= factor
    return factors


def factors_of_gradients(names: Collection[str], options: Optimizer) -> dict[str, float]:
    """The multipliers of `apply`: none where the optimizer multiplies its updates itself.

    To momentum and sgd it is one and the same, and they keep to gradients.
    """
    if options.name in NORMALISING and options.multiply == 'update':
        return {}
    return gradient_multipliers(names, options)


def note(options: Optimizer) -> str:
    """A line for who trains with multipliers that do next to nothing, as a row's source has it; else empty."""
    multiplies = options.multipliers or (options.last_layer_multiplier, options.bias_multiplier) != (1, 1)
    if not multiplies or options.name not in NORMALISING or options.multiply == 'update':
        return ''
    return (f'note: optimizer.multiply = gradient, and {options.name} divides gradients by their size: the multipliers '
            f'do next to nothing, as in the code that this follows; --optimizer.multiply update has them')


def _matching(pattern: str, names: Collection[str]) -> list[str]:
    """dongzhuoyao/tensorpack (branch deeplab) trained rows with a pattern that matched nothing, and found out later."""
    try:
        found = [name for name in names if re.search(pattern, name)]
    except re.error as error:
        raise ValueError(f'optimizer.multipliers: {pattern!r} is not a regular expression: {error}') from error
    if not found:
        scopes = dict.fromkeys(name.split('/')[0] for name in names)
        raise ValueError(f'optimizer.multipliers: {pattern!r} matches none of {len(names)} trainable variables; their '
                         f'outermost scopes are {", ".join(scopes)}')
    return found


def variable_name(variable: tf.Variable) -> str:
    """Its name in a checkpoint; `.op.name` of a mirrored variable would carry the replica's suffix."""
    return variable.name.split(':')[0]


def gradients(loss: tf.Tensor, optimizer: tf.train.Optimizer, variables: Sequence[tf.Variable]) -> list[tf.Tensor]:
    """The gradients that `apply` takes; ValueError when a variable has none.

    Under a strategy `loss` is the replica's mean: a v1 optimizer in Estimator divides it, with the weight decay, by the
    number of replicas and sums the gradients over them.
    """
    found = optimizer.compute_gradients(loss, list(variables))
    without = [variable_name(variable) for gradient, variable in found if gradient is None]
    if without:
        raise ValueError(f'the loss does not depend on these variables: {", ".join(without)}')
    return [gradient for gradient, _ in found]


def apply(gradients: Sequence[tf.Tensor], optimizer: tf.train.Optimizer, global_step: tf.Variable, *,
          multipliers: Mapping[str, float], variables: Sequence[tf.Variable], update_ops: Sequence[tf.Operation],
          clip_norm: float | None = None) -> tf.Operation:
    """One step: gradients clipped to a global norm of `clip_norm`, times `multipliers`, applied."""
    if clip_norm is not None:
        gradients = _clip(gradients, clip_norm)
    factors = [multipliers.get(variable_name(v), 1.0) for v in variables]
    gradients = [g if factor == 1 else g * factor for g, factor in zip(gradients, factors, strict=True)]
    applied = optimizer.apply_gradients(list(zip(gradients, variables, strict=True)), global_step)
    return tf.group(applied, *update_ops)


def _clip(gradients: Sequence[tf.Tensor], clip_norm: float) -> list[tf.Tensor]:
    """Clips by the norm of the sum over replicas, of which each then contributes an equal part."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    if replicas > 1:
        # Not `all_reduce`: in graph mode its custom gradient looks for variables by their replica's name and fails.
        gradients = tf.distribute.get_replica_context().merge_call(_sum_over_replicas, args=(gradients,))
    clipped, _ = tf.clip_by_global_norm(gradients, clip_norm)
    return [g / replicas for g in clipped]


def _sum_over_replicas(strategy: tf.distribute.Strategy, gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    return strategy.extended.batch_reduce_to(tf.distribute.ReduceOp.SUM, [(g, g) for g in gradients])

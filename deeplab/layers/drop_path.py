"""Drop path: whole branches of a cell are left out by chance (Larsson et al., 2017, FractalNet, arXiv:1605.07648)."""

from deeplab.compat import slim, tf
from deeplab.layers.conv import step_seed


@slim.add_arg_scope
def drop_path(inputs: tf.Tensor, keep: float, steps: int, *, scope: str, training: bool = False,
              part: tuple[int, int] = (0, 1)) -> tf.Tensor:
    """Each example is kept with a probability, divided by it, or else is zero.

    The probability falls from 1 to `keep` over `steps` (ScheduledDropPath: Zoph et al., 2018, arXiv:1707.07012),
    and is `keep` always where they are 0. `model_scope` sets `training` and the micro-batch `part`.
    """
    if not training or keep == 1:
        return inputs
    with tf.name_scope(scope):
        step = tf.cast(tf.train.get_or_create_global_step(), tf.float32)
        share = tf.minimum(1.0, step / steps) if steps else 1.0
        probability = 1 - share * (1 - keep)
        drawn = tf.random.stateless_uniform([tf.shape(inputs)[0], 1, 1, 1], step_seed(scope, part), alg='philox')
        return inputs * tf.cast(tf.cast(drawn < probability, tf.float32) / probability, inputs.dtype)

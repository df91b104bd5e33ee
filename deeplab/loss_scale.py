"""What float16 needs beside the graph rewrite: a scaled loss, whose overflowing updates are skipped and counted."""

from collections.abc import Sequence

from deeplab.compat import tf


class CountingLossScale(tf.train.experimental.DynamicLossScale):
    """TensorFlow's, which falls by half at an update that isn't finite and rises after 2000 that are.

    Its state and the count are variables, so a checkpoint holds them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.skipped = self._add_weight('skipped_updates', 0, tf.int64)

    def update(self, grads: Sequence[tf.Tensor]) -> tuple[tf.Operation, tf.Tensor]:
        """The op that counts an update, and whether it is to be applied.

        At scale 1 it is anyhow: with nothing left to lower, a run would go on for ever without learning. The weights
        that aren't finite then stop it, as in float32.
        """
        scale = tf.identity(self())
        with tf.control_dependencies([scale]):
            update, finite = super().update(grads)
        applied = finite | (scale <= 1)
        return tf.group(update, self.skipped.assign_add(tf.cast(~applied, tf.int64))), applied


class LossScaled(tf.train.experimental.MixedPrecisionLossScaleOptimizer):
    """TensorFlow's, but a skipped update is a step: the data goes on, and the weights of step s meet its examples.

    What converts to float16 is a session's option (training.devices), not this.
    """

    def __init__(self, optimizer: tf.train.Optimizer, learning_rate: tf.Tensor) -> None:
        self.scale = CountingLossScale()
        super().__init__(optimizer, self.scale)
        self._read_before = learning_rate  # which a skipped update doesn't wait for

    def apply_gradients(self, grads_and_vars: Sequence[tuple[tf.Tensor, tf.Variable]],
                        global_step: tf.Variable | None = None, name: str | None = None) -> tf.Operation:
        applied = super().apply_gradients(grads_and_vars, None, name)
        if global_step is None:
            return applied
        with tf.control_dependencies([applied, self._read_before]):
            return global_step.assign_add(1, read_value=False)

    def after(self, train_op: tf.Operation) -> dict[str, tf.Tensor]:
        """{name for TensorBoard: value} after a step: the loss scale, and how many updates were skipped so far."""
        with tf.control_dependencies([train_op]):
            return {'loss_scale/scale': tf.identity(self.scale()),
                    'loss_scale/skipped_updates': tf.identity(self.scale.skipped.read_value())}

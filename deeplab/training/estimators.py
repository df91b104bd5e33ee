"""The Estimator of a Run, and what its graph holds."""

from pathlib import Path

from deeplab.compat import estimator, tensorflow, tf
from deeplab.layers.scope import model_scope
from deeplab.model_fn import MODES, WarmStart, model_fn
from deeplab.predicting.forward import forward
from deeplab.run import Run
from deeplab.training.devices import session_config


def make_estimator(run: Run, model_dir: Path, strategy: tf.distribute.Strategy | None = None,
                   warm_start: WarmStart | None = None) -> estimator.Estimator:
    """The Estimator of a Run; the same for training, evaluation, prediction and export."""
    options = run.recipe.train
    if options.deterministic:
        tensorflow.config.experimental.enable_op_determinism()
    config = estimator.RunConfig(
        model_dir=str(model_dir), tf_random_seed=options.seed, save_summary_steps=options.summary_steps,
        keep_checkpoint_max=options.keep_checkpoints, log_step_count_steps=None, save_checkpoints_secs=None,
        save_checkpoints_steps=None,  # hooks.Saver does it; several workers would get a second one
        train_distribute=strategy,
        session_config=session_config(options.precision, options.data_format))
    return estimator.Estimator(model_fn, config=config, params={'run': run, 'warm_start': warm_start})


def model_variables(run: Run, training: bool = False) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a Run's variables (without optimizer slots), from a graph built for this and thrown away.

    With `training`, those of auxiliary heads too.
    """
    recipe = run.recipe
    height, width = recipe.data.crop_size
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [1, height, width, 3])
        if training:
            with model_scope(training=True, batch_norm=recipe.batch_norm.mode):
                forward(run, images, recipe.model.image_pyramid, training=True,
                        output_stride=recipe.model.output_stride)
        else:
            model_fn({'image': images}, None, MODES.PREDICT, {'run': run})
        return {v.op.name: tuple(v.shape.as_list()) for v in tf.global_variables()}

"""model_fn: features, labels, mode, params -> EstimatorSpec. `params` is {'run': Run, 'warm_start': see below}."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from deeplab import losses, metrics, optimizer, summaries, watched
from deeplab.compat import estimator, tf
from deeplab.kernels import choice
from deeplab.layers import recompute, resize
from deeplab.layers.conv import update_over_replicas
from deeplab.layers.scope import model_scope
from deeplab.loss_scale import LossScaled
from deeplab.nets.net import Outputs
from deeplab.predicting.forward import forward, forward_pass
from deeplab.predicting.predict import Prediction, labels_to_range, predict, predict_as_is, to_range
from deeplab.recipes.protocol import scored_resized
from deeplab.run import Run

MODES = estimator.ModeKeys


class WarmStart(NamedTuple):
    """A checkpoint and what to take from it: {name in the checkpoint: name in the model}."""

    prefix: str
    assignment: dict[str, str]


def model_fn(features: Mapping[str, tf.Tensor], labels: tf.Tensor | None, mode: str,
             params: Mapping[str, Any]) -> estimator.EstimatorSpec:
    """Builds one graph of a Run.

    Args:
      features: 'image' [N,H,W,3] float32 0..255; in training also 'filename' [N] and 'number' [N].
      labels: [N,H,W] int32 class ids, or None when predicting.
      mode: a key of `tf.estimator.ModeKeys`.
      params: 'run', a `Run`; 'warm_start', a `WarmStart` or None.
    """
    run = params['run']
    if mode == MODES.TRAIN:
        return _train(run, features, labels, params.get('warm_start'))
    if mode == MODES.EVAL:
        return _evaluate(run, features, labels)
    predictions = predict(forward_pass(run), features['image'], run.recipe.evaluation)._asdict()
    predictions.update({k: v for k, v in features.items() if k != 'image'})
    return estimator.EstimatorSpec(mode, predictions=predictions)


def _train(run: Run, features: Mapping[str, tf.Tensor], labels: tf.Tensor, warm_start: WarmStart | None
           ) -> estimator.EstimatorSpec:
    step = tf.train.get_or_create_global_step()
    batch_step = _step_of(features['number'], run.images_per_step)
    # The weights of step s must meet the examples of step s; otherwise a resumed run would differ in silence.
    in_order = tf.debugging.assert_equal(batch_step, step, message='the input is not at the step of the weights')
    with tf.control_dependencies([in_order]):
        images = tf.identity(features['image'])
    learning_rate = _learning_rate(run, step)
    chosen = _optimizer(run, learning_rate)
    parts, gradients, outputs = _gradients(run, chosen, images, labels, step)
    if warm_start:
        tf.train.init_from_checkpoint(warm_start.prefix, warm_start.assignment)
    for name, value in parts.items():
        tf.summary.scalar(f'losses/{name}', value)
    loss = tf.add_n(list(parts.values()))
    _summarise(run, features, labels, outputs.logits)
    tf.summary.scalar('learning_rate', learning_rate)
    for collection, tensor in ((watched.STEP, batch_step), (watched.LOSS, loss), (watched.LEARNING_RATE, learning_rate),
                               (watched.FILENAMES, features['filename'])):
        tf.add_to_collection(collection, tensor)
    train_op = _apply(run, chosen, gradients, step)
    if isinstance(chosen, LossScaled):
        _watch_skipped(chosen.after(train_op))
    return estimator.EstimatorSpec(MODES.TRAIN, loss=loss, train_op=train_op)


def _evaluate(run: Run, features: Mapping[str, tf.Tensor], labels: tf.Tensor) -> estimator.EstimatorSpec:
    """One image a step; the confusion matrix over the whole split decides every score."""
    options = run.recipe.loss
    images, labels, (classes, probabilities) = _predict_for_scores(run, features['image'], labels)
    # Plain cross-entropy whatever is trained with: runs can be compared.
    loss = losses.of_probabilities(probabilities, labels, run.dataset.ignore_label)
    loss += losses.l2_loss(tf.trainable_variables(), options.weight_decay, options.weight_decay_rule)
    values, update = metrics.streaming_confusion_matrix(
        labels, classes, run.num_classes, run.dataset.ignore_label, lambda matrix: _scores(run, matrix))
    tf.add_to_collection(watched.MATRIX, values['pixel_counts'])
    tf.add_to_collection(watched.EVALUATED_FILENAMES, features['filename'])
    tf.add_to_collection(watched.TRIPTYCH,
                         summaries.triptych(images, labels, classes, run.dataset.palette))
    scores = {k: (v, update) for k, v in values.items()} | _trimap(run, labels, classes)
    return estimator.EstimatorSpec(MODES.EVAL, loss=loss, eval_metric_ops=scores)


def _gradients(run: Run, chosen: tf.train.Optimizer, images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor
               ) -> tuple[dict[str, tf.Tensor], list[tf.Tensor], Outputs]:
    """({part of the loss: its mean}, gradients, the first batch's outputs) of a step's batches, one after the other.

    They count as much as those of replicas would: gradients and losses are means, whatever the number of valid pixels,
    and batch norm has each batch's own statistics, with which it updates the averages in turn.
    """
    count = run.recipe.train.accumulate_steps
    found, outputs = [], []
    sums: list[tf.Tensor] = []
    for index, (few, truth) in enumerate(zip(tf.split(images, count), tf.split(labels, count), strict=True)):
        # A batch's features exist only after the one before it has become a gradient: the memory is that of one batch.
        done: list[tf.Operation] = [*sums, *tf.get_collection(tf.GraphKeys.UPDATE_OPS)] if sums else []
        with tf.control_dependencies(done), tf.variable_scope(tf.get_variable_scope(), reuse=bool(sums) or None):
            outputs.append(_outputs(run, few, (index, count)))
            found.append(_losses(run, outputs[-1], truth, step))
            gradients = optimizer.gradients(tf.add_n(list(found[-1].values())) / count, chosen,
                                            tf.trainable_variables())
            sums = [a + b for a, b in zip(sums, gradients, strict=True)] if sums else gradients
    return {name: tf.add_n([parts[name] for parts in found]) / count for name in found[0]}, sums, outputs[0]


def _outputs(run: Run, images: tf.Tensor, part: tuple[int, int]) -> Outputs:
    recipe = run.recipe
    with model_scope(training=True, batch_norm=recipe.batch_norm.mode, decay=recipe.batch_norm.decay,
                     recompute=recipe.train.recompute, part=part,
                     features=choice.features(recipe.train.kernels, recipe.train.precision)):
        outputs = forward(run, images, recipe.model.image_pyramid, training=True,
                          output_stride=recipe.model.output_stride)
    if recipe.train.recompute and not tf.get_collection(recompute.BLOCKS):
        raise ValueError(f'train.recompute: {recipe.model.net} on {recipe.model.backbone} has no block that can be '
                         f'computed again; the ResNets and DenseNets have')
    return outputs


def _step_of(numbers: tf.Tensor, batch_size: int) -> tf.Tensor:
    """The global step that a batch belongs to, from the numbers of its examples."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return numbers[0] // (batch_size * replicas)


def _losses(run: Run, outputs: Outputs, labels: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
    """The recipe's loss of the logits and of auxiliary heads, and the weight decay."""
    options = run.recipe.loss
    parts = {options.name: outputs.weight * _loss(run, outputs.logits, labels, step)}
    for name, (logits, weight) in outputs.aux.items():
        parts[name] = weight * _loss(run, logits, labels, step)
    parts['weight_decay'] = losses.l2_loss(tf.trainable_variables(), options.weight_decay, options.weight_decay_rule)
    return parts


def _loss(run: Run, logits: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    options = run.recipe.loss
    return losses.loss(logits, labels, run.dataset.ignore_label, options.name, step=step,
                       label_weights=options.label_weights or None, upsample_logits=options.upsample_logits,
                       own=run.recipe.train.kernels == 'own',
                       **{name: getattr(options, name) for name in losses.options_of(options.name)})


def _learning_rate(run: Run, step: tf.Tensor) -> tf.Tensor:
    return optimizer.learning_rate(run.recipe.schedule, step, run.recipe.train.max_steps)


def _optimizer(run: Run, learning_rate: tf.Tensor) -> tf.train.Optimizer:
    chosen = optimizer.make_optimizer(run.recipe.optimizer, learning_rate)
    if run.recipe.train.precision == 'float16':
        chosen = LossScaled(chosen, learning_rate)
    return chosen


def _watch_skipped(after: Mapping[str, tf.Tensor]) -> None:
    tf.add_to_collection(watched.SKIPPED, after['loss_scale/skipped_updates'])
    for name, value in after.items():
        tf.summary.scalar(name, value)


def _apply(run: Run, chosen: tf.train.Optimizer, gradients: Sequence[tf.Tensor], step: tf.Tensor) -> tf.Operation:
    options = run.recipe.optimizer
    variables = tf.trainable_variables()
    multipliers = optimizer.factors_of_gradients([optimizer.variable_name(v) for v in variables], options)
    return optimizer.apply(gradients, chosen, step, multipliers=multipliers, variables=variables,
                           update_ops=[*tf.get_collection(tf.GraphKeys.UPDATE_OPS), *update_over_replicas()],
                           clip_norm=options.clip_norm or None)


def _summarise(run: Run, features: Mapping[str, tf.Tensor], labels: tf.Tensor, logits: tf.Tensor) -> None:
    """Scores and pictures of the first training batch, computed only when a summary is written."""
    labels = labels[:run.recipe.train.batch_size]
    scores = resize.resize_bilinear(tf.cast(logits, tf.float32), tuple(labels.shape.as_list()[1:]))
    classes = tf.argmax(scores, axis=-1, output_type=tf.int32)
    matrix = metrics.confusion_matrix(labels, classes, run.num_classes, run.dataset.ignore_label)
    tf.summary.scalar('mean_iou', metrics.mean_iou(matrix, run.recipe.evaluation.absent))
    tf.summary.scalar('pixel_accuracy', metrics.pixel_accuracy(matrix))
    shown = slice(0, min(2, run.recipe.train.batch_size))
    picture = summaries.triptych(features['image'][shown], labels[shown], classes[shown], run.dataset.palette)
    tf.summary.image('image_truth_prediction', picture, max_outputs=2)


def _predict_for_scores(run: Run, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, Prediction]:
    """(images, labels, prediction), of one size: the original one, or the resized one where that is scored."""
    net, evaluation = forward_pass(run), run.recipe.evaluation
    if not scored_resized(evaluation):
        return images, labels, predict(net, images, evaluation)
    images, labels = to_range(images, evaluation), labels_to_range(labels, evaluation)
    return images, labels, predict_as_is(net, images, evaluation)


def _trimap(run: Run, labels: tf.Tensor, classes: tf.Tensor) -> dict[str, tuple[tf.Tensor, tf.Operation]]:
    """The pixel counts of each band, as metrics."""
    evaluation = run.recipe.evaluation
    return {f'{metrics.TRIMAP}/{width}': metrics.streaming_confusion_matrix(
        metrics.in_band(labels, width, run.dataset.ignore_label, evaluation.trimap_around), classes, run.num_classes,
        run.dataset.ignore_label) for width in evaluation.trimap}


def _scores(run: Run, matrix: tf.Tensor) -> dict[str, tf.Tensor]:
    """What TensorBoard shows of a confusion matrix, and the matrix itself, under another tag than its picture's."""
    absent = run.recipe.evaluation.absent
    iou = metrics.per_class_iou(matrix, absent)
    scores = {'mean_iou': metrics.mean_iou(matrix, absent),
              'pixel_accuracy': metrics.pixel_accuracy(matrix), 'pixel_counts': matrix}
    return scores | {f'iou/{name}': iou[index] for index, name in enumerate(run.dataset.class_names)}

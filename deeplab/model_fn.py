"""model_fn: features, labels, mode, params -> EstimatorSpec. `params` is {'run': Run, 'warm_start': see below}."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from deeplab import eval_hooks, hooks, losses, metrics, optimizer, predict, pyramid, summaries
from deeplab.compat import estimator, tf
from deeplab.layers import resize
from deeplab.layers.scope import model_scope
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
    predictions = predict.predict(run, features['image'])._asdict()
    predictions.update({k: v for k, v in features.items() if k != 'image'})
    return estimator.EstimatorSpec(mode, predictions=predictions)


def _train(run: Run, features, labels, warm_start: WarmStart | None) -> estimator.EstimatorSpec:
    recipe = run.recipe
    step = tf.train.get_or_create_global_step()
    batch_step = _step_of(features['number'], recipe.train.batch_size)
    # The weights of step s must meet the examples of step s; otherwise a resumed run would differ in silence.
    in_order = tf.debugging.assert_equal(batch_step, step, message='the input is not at the step of the weights')
    with tf.control_dependencies([in_order]):
        images = tf.identity(features['image'])
    with model_scope(training=True, batch_norm=recipe.batch_norm.mode, decay=recipe.batch_norm.decay):
        outputs = pyramid.outputs(run, images, recipe.model.image_pyramid, training=True,
                                  output_stride=recipe.model.output_stride)
    if warm_start:
        tf.train.init_from_checkpoint(warm_start.prefix, warm_start.assignment)
    loss = _total_loss(run, outputs, labels, step)
    learning_rate = _learning_rate(run, step)
    _summarise(run, features, labels, outputs.logits)
    tf.summary.scalar('learning_rate', learning_rate)
    for collection, tensor in ((hooks.STEP, batch_step), (hooks.LOSS, loss), (hooks.LEARNING_RATE, learning_rate),
                               (hooks.FILENAMES, features['filename'])):
        tf.add_to_collection(collection, tensor)
    train_op = _train_op(run, loss, learning_rate, step)
    return estimator.EstimatorSpec(MODES.TRAIN, loss=loss, train_op=train_op)


def _step_of(numbers: tf.Tensor, batch_size: int) -> tf.Tensor:
    """The global step that a batch belongs to, from the numbers of its examples."""
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    return numbers[0] // (batch_size * replicas)


def _total_loss(run: Run, outputs, labels: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    """Cross-entropy of the logits and of auxiliary heads, and the weight decay; each part goes to TensorBoard."""
    options = run.recipe.loss
    parts = {'cross_entropy': _cross_entropy(run, outputs.logits, labels, step)}
    for name, (logits, weight) in outputs.aux.items():
        parts[name] = weight * _cross_entropy(run, logits, labels, step)
    parts['weight_decay'] = losses.l2_loss(tf.trainable_variables(), options.weight_decay, options.weight_decay_rule)
    for name, value in parts.items():
        tf.summary.scalar(f'losses/{name}', value)
    return tf.add_n(list(parts.values()))


def _cross_entropy(run: Run, logits: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    options = run.recipe.loss
    return losses.softmax_cross_entropy(
        logits, labels, run.dataset.ignore_label, label_weights=options.label_weights or None,
        top_k_percent=options.top_k_percent, top_k_ramp_steps=options.top_k_ramp_steps, step=step,
        upsample_logits=options.upsample_logits)


def _learning_rate(run: Run, step: tf.Tensor) -> tf.Tensor:
    return optimizer.learning_rate(run.recipe.schedule, step, run.recipe.train.max_steps)


def _train_op(run: Run, loss: tf.Tensor, learning_rate: tf.Tensor, step: tf.Tensor) -> tf.Operation:
    options = run.recipe.optimizer
    variables = tf.trainable_variables()
    chosen = optimizer.make_optimizer(options.name, learning_rate, momentum=options.momentum, epsilon=options.epsilon)
    if run.recipe.train.precision == 'float16':
        chosen = tf.train.experimental.enable_mixed_precision_graph_rewrite(chosen)
    multipliers = optimizer.gradient_multipliers(variables, options.last_layer_multiplier,
                                                 optimizer.last_layers(options), options.bias_multiplier)
    return optimizer.train_op(loss, chosen, step, multipliers=multipliers, variables=variables,
                              update_ops=tf.get_collection(tf.GraphKeys.UPDATE_OPS),
                              clip_norm=options.clip_norm or None)


def _summarise(run: Run, features, labels: tf.Tensor, logits: tf.Tensor) -> None:
    """Scores and pictures of the training batch, computed only when a summary is written."""
    scores = resize.resize_bilinear(tf.cast(logits, tf.float32), tuple(labels.shape.as_list()[1:]))
    classes = tf.argmax(scores, axis=-1, output_type=tf.int32)
    matrix = metrics.confusion_matrix(labels, classes, run.num_classes, run.dataset.ignore_label)
    tf.summary.scalar('mean_iou', metrics.mean_iou(matrix, run.recipe.evaluation.absent))
    tf.summary.scalar('pixel_accuracy', metrics.pixel_accuracy(matrix))
    shown = slice(0, 2)
    picture = summaries.triptych(features['image'][shown], labels[shown], classes[shown], run.dataset.palette)
    tf.summary.image('image_truth_prediction', picture, max_outputs=2)


def _evaluate(run: Run, features, labels) -> estimator.EstimatorSpec:
    """One image a step; the confusion matrix over the whole split decides every score."""
    options = run.recipe.loss
    images, labels, (classes, probabilities) = _predict_for_scores(run, features['image'], labels)
    log_probabilities = tf.log(tf.maximum(probabilities, 1e-30))  # a log-softmax is a fixed point of softmax
    loss = losses.softmax_cross_entropy(log_probabilities, labels, run.dataset.ignore_label)
    loss += losses.l2_loss(tf.trainable_variables(), options.weight_decay, options.weight_decay_rule)
    values, update = metrics.streaming_confusion_matrix(
        labels, classes, run.num_classes, run.dataset.ignore_label, lambda matrix: _scores(run, matrix))
    tf.add_to_collection(eval_hooks.MATRIX, values['pixel_counts'])
    tf.add_to_collection(eval_hooks.FILENAMES, features['filename'])
    tf.add_to_collection(eval_hooks.TRIPTYCH,
                         summaries.triptych(images, labels, classes, run.dataset.palette))
    return estimator.EstimatorSpec(MODES.EVAL, loss=loss, eval_metric_ops={k: (v, update) for k, v in values.items()})


def _predict_for_scores(run: Run, images, labels):
    """(images, labels, prediction), of one size: the original one, or with `official_compat` the resized one."""
    evaluation = run.recipe.evaluation
    if not (evaluation.official_compat and evaluation.min_resize):
        return images, labels, predict.predict(run, images)
    images, labels = predict.to_range(run, images), predict.labels_to_range(run, labels)
    return images, labels, predict.predict_as_is(run, images)


def _scores(run: Run, matrix: tf.Tensor) -> dict[str, tf.Tensor]:
    """What TensorBoard shows of a confusion matrix, and the matrix itself, under another tag than its picture's."""
    iou = metrics.per_class_iou(matrix)
    scores = {'mean_iou': metrics.mean_iou(matrix, run.recipe.evaluation.absent),
              'pixel_accuracy': metrics.pixel_accuracy(matrix), 'pixel_counts': matrix}
    return scores | {f'iou/{name}': iou[index] for index, name in enumerate(run.dataset.class_names)}

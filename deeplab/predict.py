"""Images of any size -> classes and probabilities of the same size: one path for evaluation, inference and export.

An image is padded at the bottom and right, with the value that the backbone takes for grey, to at least `pad_to` and to
a multiple of the output stride plus one, where aligned corners make feature cells and pixels coincide; the prediction
is cut back. Scales and the mirrored image are averaged as probabilities, as the official eval.py does it; logits of a
scale below 1 are first enlarged to the logit grid of scale 1, as published multi-scale figures have it.

`evaluation.official_compat` adds what the official code does differently, for comparisons to the last digit:
- a single scale of 1 isn't mirrored, whatever `flip` says;
- the probabilities of several views are the softmax of their mean, though that is one of probabilities already;
- padding is to exactly `pad_to`, aligned or not, and a larger image is an error;
- after `min_resize`, classes are enlarged as nearest, and evaluation scores at the resized resolution.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from datasets.augment import resized_to_range
from deeplab import pyramid
from deeplab.compat import tf
from deeplab.layers import resize
from deeplab.layers.scope import model_scope
from deeplab.run import Run


class Prediction(NamedTuple):
    """`classes` int32 [N,H,W]; `probabilities` float32 [N,H,W,C]."""

    classes: tf.Tensor
    probabilities: tf.Tensor


def predict(run: Run, images: tf.Tensor) -> Prediction:
    """The prediction for images [N,H,W,3] (0..255) under the recipe's evaluation protocol, at their size."""
    evaluation = run.recipe.evaluation
    if not evaluation.min_resize:
        return predict_as_is(run, images)
    size = resize.spatial_size(images)
    found = predict_as_is(run, to_range(run, images))
    probabilities = resize.resize_bilinear(found.probabilities, size)
    if evaluation.official_compat:
        return Prediction(resize.resize_nearest(found.classes[..., tf.newaxis], size)[..., 0], probabilities)
    return Prediction(_best(probabilities), probabilities)


def to_range(run: Run, images: tf.Tensor) -> tf.Tensor:
    """Images [N,h,w,3] with the sides that `evaluation.min_resize` and so on ask for."""
    return resize.resize_bilinear(images, tf.unstack(_range(run, images)))


def labels_to_range(run: Run, labels: tf.Tensor) -> tf.Tensor:
    """Labels [N,h,w], resized as `to_range` resizes their images."""
    return resize.resize_nearest(labels[..., tf.newaxis], tf.unstack(_range(run, labels)))[..., 0]


def _range(run: Run, images: tf.Tensor) -> tf.Tensor:
    evaluation = run.recipe.evaluation
    return resized_to_range(tf.shape(images)[1:3], evaluation.min_resize, evaluation.max_resize,
                            evaluation.resize_factor)


def predict_as_is(run: Run, images: tf.Tensor) -> Prediction:
    """`predict` for images that already have the size that the net is to see."""
    size = tf.shape(images)[1:3]
    found = _predict_padded(run, _padded(run, images))
    return Prediction(*(each[:, :size[0], :size[1]] for each in found))


def _predict_padded(run: Run, images: tf.Tensor) -> Prediction:
    evaluation = run.recipe.evaluation
    views = list(itertools.product(evaluation.scales, (False, True) if evaluation.flip else (False,)))
    if evaluation.official_compat and evaluation.scales == (1.0,):
        views = views[:1]
    size = resize.spatial_size(images)
    if len(views) == 1 and not evaluation.upsample_logits:
        return _enlarged(_logits(run, images, *views[0]), size)
    total = 0.0
    for view in views:
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            total += tf.nn.softmax(resize.resize_bilinear(_logits(run, images, *view), size))
    mean = total / len(views)
    softened = evaluation.official_compat and evaluation.scales != (1.0,)
    return Prediction(_best(mean), tf.nn.softmax(mean) if softened else mean)


def _logits(run: Run, images: tf.Tensor, scale: float, mirror: bool) -> tf.Tensor:
    """Float32 logits [N,h,w,C] of one view, turned back. A scale other than 1 takes the place of an image pyramid."""
    scales = run.recipe.model.image_pyramid if scale == 1 else (scale,)
    with model_scope(training=False, batch_norm='freeze_statistics'):
        logits = pyramid.outputs(run, tf.reverse(images, [2]) if mirror else images, scales, training=False,
                                 output_stride=run.eval_output_stride).logits
    return tf.cast(tf.reverse(logits, [2]) if mirror else logits, tf.float32)


def _enlarged(logits: tf.Tensor, size) -> Prediction:
    """The prediction at the logits' resolution, enlarged: classes as nearest, probabilities bilinear."""
    classes = resize.resize_nearest(_best(logits)[..., tf.newaxis], size)[..., 0]
    return Prediction(classes, resize.resize_bilinear(tf.nn.softmax(logits), size))


def _best(scores: tf.Tensor) -> tf.Tensor:
    return tf.argmax(scores, axis=-1, output_type=tf.int32)


def _padded(run: Run, images: tf.Tensor) -> tf.Tensor:
    evaluation = run.recipe.evaluation
    size = tf.shape(images)[1:3]
    if not evaluation.official_compat:
        return pad(images, run.backbone.pad_value, padded_size(size, evaluation.pad_to, run.eval_output_stride))
    if not evaluation.pad_to:
        return images
    crop = tf.constant(evaluation.pad_to)
    fits = tf.debugging.assert_less_equal(size, crop, message='official_compat: an image is larger than pad_to')
    with tf.control_dependencies([fits]):
        padded = pad(images, run.backbone.pad_value, crop)
    padded.set_shape([None, *evaluation.pad_to, None])
    return padded


def padded_size(size: tf.Tensor, pad_to: Sequence[int], output_stride: int) -> tf.Tensor:
    """The smallest height and width of k * output_stride + 1 that hold both `size` and `pad_to`."""
    least = tf.maximum(size, list(pad_to) or [1, 1])
    return -(-(least - 1) // output_stride) * output_stride + 1


def pad(images: tf.Tensor, value: Sequence[float], size: tf.Tensor) -> tf.Tensor:
    """Images [N,h,w,3] filled up at the bottom and right to [N, *size, 3] with a colour."""
    missing = size - tf.shape(images)[1:3]
    value = tf.constant(value, images.dtype)
    return tf.pad(images - value, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]) + value

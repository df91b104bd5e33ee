"""Images of any size -> class probabilities of the same size: one path for evaluation, inference and export.

An image is padded at the bottom and right, with the value that the backbone takes for grey, to at least `pad_to` and to
a multiple of the output stride plus one, where aligned corners make feature cells and pixels coincide; the prediction
is cut back. Scales and the mirrored image are averaged as probabilities, as the official eval.py does it, but a single
scale is mirrored too when the protocol says so.
"""

import itertools
from collections.abc import Sequence

from deeplab.compat import tf
from deeplab.layers import resize
from deeplab.layers.scope import model_scope
from deeplab.run import Run


def logits(run: Run, images: tf.Tensor, output_stride: int) -> tf.Tensor:
    """[N,H,W,3] 0..255 -> logits [N,h,w,C] at logit resolution, with the moving statistics and no dropout."""
    model = run.recipe.model
    with model_scope(training=False, batch_norm='freeze_statistics'):
        return run.net(images, run.num_classes, run.backbone, training=False, output_stride=output_stride,
                       backbone_options=model.backbone_options, **run.net_options).logits


def probabilities(run: Run, images: tf.Tensor) -> tf.Tensor:
    """Class probabilities [N,H,W,C] of images [N,H,W,3] (0..255) under the recipe's evaluation protocol."""
    evaluation = run.recipe.evaluation
    size = tf.shape(images)[1:3]
    padded = pad(images, run.backbone.pad_value, padded_size(size, evaluation.pad_to, run.eval_output_stride))
    views = list(itertools.product(evaluation.scales, (False, True) if evaluation.flip else (False,)))
    total = 0.0
    for scale, mirror in views:
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            total += _view(run, padded, scale, mirror)
    return (total / len(views))[:, :size[0], :size[1], :]


def _view(run: Run, images: tf.Tensor, scale: float, mirror: bool) -> tf.Tensor:
    """Probabilities of one scaled, possibly mirrored view, back at the images' size and orientation."""
    size = resize.spatial_size(images)
    view = images if scale == 1 else resize.resize_bilinear(images, resize.scaled_size(size, scale))
    scores = logits(run, tf.reverse(view, [2]) if mirror else view, run.eval_output_stride)
    scores = tf.reverse(scores, [2]) if mirror else scores
    return tf.nn.softmax(resize.resize_bilinear(tf.cast(scores, tf.float32), size))


def padded_size(size: tf.Tensor, pad_to: Sequence[int], output_stride: int) -> tf.Tensor:
    """The smallest height and width of k * output_stride + 1 that hold both `size` and `pad_to`."""
    least = tf.maximum(size, list(pad_to) or [1, 1])
    return -(-(least - 1) // output_stride) * output_stride + 1


def pad(images: tf.Tensor, value: Sequence[float], size: tf.Tensor) -> tf.Tensor:
    """Images [N,h,w,3] filled up at the bottom and right to [N, *size, 3] with a colour."""
    missing = size - tf.shape(images)[1:3]
    value = tf.constant(value, images.dtype)
    return tf.pad(images - value, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]) + value

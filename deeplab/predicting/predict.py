"""Images of any size -> classes and probabilities of the same size: one path for evaluation, inference and export.

An image is padded at the bottom and right, with the value that the backbone takes for grey, to at least `pad_to` and to
a multiple of the output stride plus one, where aligned corners make feature cells and pixels coincide, or to the
multiple that the net asks for; the prediction is cut back. Scales and the mirrored image are averaged as probabilities,
as the official eval.py does it, or the largest of their logits counts (`fusion` 'max': DeepLabv2, which
merges on the logit grid, where this merges at the image's size); logits of a scale below 1 are first enlarged to the
logit grid of scale 1, as published multi-scale figures have it. Views are computed one after another.

With `tile_size`, images of more than `tile_limit` pixels are seen through a window (`tiles`), each scale in tiles of
that size, padded where an image is smaller; dongzhuoyao/tensorpack (branch deeplab) evaluates
so. The CRF (`crf`) comes last, at the images' size.

`evaluation.official_compat` adds what the official code does differently, for comparisons to the last digit:
- a single scale of 1 isn't mirrored, whatever `flip` says;
- other scales than a single 1 take the place of the net's image pyramid;
- the probabilities of several views are the softmax of their mean, though that is one of probabilities already;
- padding is to exactly `pad_to`, aligned or not, and a larger image is an error;
- after `min_resize`, classes are enlarged as nearest, and evaluation scores at the resized resolution.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from datasets.input.augment import resized_to_range
from deeplab.compat import tf
from deeplab.layers import resize
from deeplab.predicting import crf, tiles
from deeplab.predicting.forward import ForwardPass, scaled
from deeplab.recipes.protocol import crf_parameters
from deeplab.recipes.schema import Evaluation

FUSIONS = {'mean': tf.add, 'max': tf.maximum}


class Prediction(NamedTuple):
    """`classes` int32 [N,H,W]; `probabilities` float32 [N,H,W,C]."""

    classes: tf.Tensor
    probabilities: tf.Tensor


def predict(net: ForwardPass, images: tf.Tensor, evaluation: Evaluation) -> Prediction:
    """The prediction for images [N,H,W,3] (0..255) under an evaluation protocol, at their size."""
    if not evaluation.min_resize:
        return predict_as_is(net, images, evaluation)
    size = resize.spatial_size(images)
    found = _merged_views(net, to_range(images, evaluation), evaluation)
    probabilities = resize.resize_bilinear(found.probabilities, size)
    if evaluation.official_compat:
        return Prediction(resize.resize_nearest(found.classes[..., tf.newaxis], size)[..., 0], probabilities)
    return _refined(Prediction(_best(probabilities), probabilities), images, evaluation)


def to_range(images: tf.Tensor, evaluation: Evaluation) -> tf.Tensor:
    """Images [N,h,w,3] with the sides that `evaluation.min_resize` and so on ask for."""
    return resize.resize_bilinear(images, tf.unstack(_range(images, evaluation)))


def labels_to_range(labels: tf.Tensor, evaluation: Evaluation) -> tf.Tensor:
    """Labels [N,h,w], resized as `to_range` resizes their images."""
    return resize.resize_nearest(labels[..., tf.newaxis], tf.unstack(_range(labels, evaluation)))[..., 0]


def _range(images: tf.Tensor, evaluation: Evaluation) -> tf.Tensor:
    return resized_to_range(tf.shape(images)[1:3], evaluation.min_resize, evaluation.max_resize,
                            evaluation.resize_factor)


def predict_as_is(net: ForwardPass, images: tf.Tensor, evaluation: Evaluation) -> Prediction:
    """`predict` for images that already have the size that the net is to see."""
    return _refined(_merged_views(net, images, evaluation), images, evaluation)


def _refined(found: Prediction, images: tf.Tensor, evaluation: Evaluation) -> Prediction:
    """The prediction after the protocol's CRF."""
    parameters = crf_parameters(evaluation)
    if not parameters:
        return found
    probabilities = crf.refine(images, found.probabilities, parameters)
    return Prediction(_best(probabilities), probabilities)


def _merged_views(net: ForwardPass, images: tf.Tensor, evaluation: Evaluation) -> Prediction:
    views = list(itertools.product(evaluation.scales, (False, True) if evaluation.flip else (False,)))
    if evaluation.official_compat and evaluation.scales == (1.0,):
        views = views[:1]
    if len(views) == 1 and not evaluation.upsample_logits:
        padded = _padded(net, images, evaluation.pad_to, evaluation)
        return Prediction(*(_cut(each, images) for each in _enlarged(
            _logits(net, padded, *views[0]), resize.spatial_size(padded))))
    merge = FUSIONS[evaluation.fusion]
    merged: list[tf.Tensor] = []  # the views so far as one
    for view in views:
        # A view begins when the one before it is merged: memory is that of the largest, not of all.
        with tf.control_dependencies(merged), tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            found = _view(net, tf.identity(images), *view, evaluation)
        merged = [merge(merged[0], found)] if merged else [found]
    scores, = merged
    if evaluation.fusion == 'max':
        return Prediction(_best(scores), tf.nn.softmax(scores))
    mean = scores / len(views)
    softened = evaluation.official_compat and evaluation.scales != (1.0,)
    return Prediction(_best(mean), tf.nn.softmax(mean) if softened else mean)


def _view(net: ForwardPass, images: tf.Tensor, scale: float, mirror: bool, evaluation: Evaluation) -> tf.Tensor:
    """What is merged of one view, at the images' size: probabilities, or logits where the largest count."""
    if not evaluation.tile_size:
        return _whole(net, images, scale, mirror, evaluation)
    if not evaluation.tile_limit:
        return _tiled(net, images, scale, mirror, evaluation)
    size = tf.stack(resize.scaled_size(resize.spatial_size(images), scale))
    return tf.cond(tf.reduce_prod(size) > evaluation.tile_limit,
                   lambda: _tiled(net, images, scale, mirror, evaluation),
                   lambda: _whole(net, images, scale, mirror, evaluation))


def _whole(net: ForwardPass, images: tf.Tensor, scale: float, mirror: bool, evaluation: Evaluation) -> tf.Tensor:
    return _scores(net, images, _padded(net, images, evaluation.pad_to, evaluation), scale, mirror, evaluation)


def _tiled(net: ForwardPass, images: tf.Tensor, scale: float, mirror: bool, evaluation: Evaluation) -> tf.Tensor:
    """Tiles of the scaled images; each is a view of its own, so that its size decides what the net sees."""
    resized = scaled(images, scale)
    size = tf.shape(resized)[1:3]
    filled = pad(resized, net.pad_value, tf.maximum(size, list(evaluation.tile_size)))

    def score(tile: tf.Tensor) -> tf.Tensor:
        return _scores(net, tile, _padded(net, tile, (), evaluation), 1.0, mirror, evaluation)

    scores = tiles.blend(filled, score, net.num_classes, size=evaluation.tile_size, overlap=evaluation.tile_overlap,
                         weighting=evaluation.tile_weighting)
    return resize.resize_bilinear(scores[:, :size[0], :size[1]], resize.spatial_size(images))


def _scores(net: ForwardPass, images: tf.Tensor, padded: tf.Tensor, scale: float, mirror: bool,
            evaluation: Evaluation) -> tf.Tensor:
    """Probabilities, or logits where the largest count, of padded images, cut to the images' size."""
    logits = resize.resize_bilinear(_logits(net, padded, scale, mirror), resize.spatial_size(padded))
    return _cut(logits if evaluation.fusion == 'max' else tf.nn.softmax(logits), images)


def _cut(scores: tf.Tensor, images: tf.Tensor) -> tf.Tensor:
    size = tf.shape(images)[1:3]
    return scores[:, :size[0], :size[1]]


def _logits(net: ForwardPass, images: tf.Tensor, scale: float, mirror: bool) -> tf.Tensor:
    """Float32 logits [N,h,w,C] of one view, turned back."""
    logits = net.logits(tf.reverse(images, [2]) if mirror else images, scale)
    return tf.cast(tf.reverse(logits, [2]) if mirror else logits, tf.float32)


def _enlarged(logits: tf.Tensor, size: resize.Size) -> Prediction:
    """The prediction at the logits' resolution, enlarged: classes as nearest, probabilities bilinear."""
    classes = resize.resize_nearest(_best(logits)[..., tf.newaxis], size)[..., 0]
    return Prediction(classes, resize.resize_bilinear(tf.nn.softmax(logits), size))


def _best(scores: tf.Tensor) -> tf.Tensor:
    return tf.argmax(scores, axis=-1, output_type=tf.int32)


def _padded(net: ForwardPass, images: tf.Tensor, pad_to: Sequence[int], evaluation: Evaluation) -> tf.Tensor:
    size = tf.shape(images)[1:3]
    if not evaluation.official_compat:
        return pad(images, net.pad_value, padded_size(size, pad_to, net.output_stride, net.multiple))
    if not pad_to:
        return images
    crop = tf.constant(pad_to)
    fits = tf.debugging.assert_less_equal(size, crop, message='official_compat: an image is larger than pad_to')
    with tf.control_dependencies([fits]):
        padded = pad(images, net.pad_value, crop)
    padded.set_shape([None, *pad_to, None])
    return padded


def padded_size(size: tf.Tensor, pad_to: Sequence[int], output_stride: int, multiple: int = 0) -> tf.Tensor:
    """The smallest height and width that hold both `size` and `pad_to`: multiples, or k * output_stride + 1."""
    least = tf.maximum(size, list(pad_to) or [1, 1])
    if multiple:
        return -(-least // multiple) * multiple
    return -(-(least - 1) // output_stride) * output_stride + 1


def pad(images: tf.Tensor, value: Sequence[float], size: tf.Tensor) -> tf.Tensor:
    """Images [N,h,w,3] filled up at the bottom and right to [N, *size, 3] with a colour."""
    missing = size - tf.shape(images)[1:3]
    value = tf.constant(value, images.dtype)
    return tf.pad(images - value, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]]) + value

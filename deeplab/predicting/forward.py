"""The front door of the nets: a Run's net on images, at one scale or at several whose logits are merged.

Several scales are an image pyramid (Chen et al., 2016, "Attention to Scale", arXiv:1511.03339). Each scale's logits are
brought to the logit grid of the largest scale, or of the image itself where all are smaller, as the official DeepLab
does it (tensorflow/models, research/deeplab/model.py, `multi_scale_logits`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deeplab.compat import tf
from deeplab.layers import resize
from deeplab.layers.scope import model_scope
from deeplab.nets import Outputs
from deeplab.run import Run

MERGES = {'max': tf.reduce_max, 'avg': tf.reduce_mean}
LOGIT_STRIDES = (1, 2, 4, 8, 16, 32, 64)


def forward(run: Run, images: tf.Tensor, scales: Sequence[float] = (), *, training: bool,
            output_stride: int) -> Outputs:
    """Outputs of the run's net for images [N,H,W,3] (0..255); no scales, and 1 alone, are the net itself.

    With several scales the logits are merged, and those of each scale are in `aux`, all with the net's loss weight.
    Needs an open `model_scope`; all scales share the variables.
    """
    if tuple(scales) in ((), (1.0,)):
        return _in_float32(run.net.build(images, run.num_classes, run.backbone, training=training,
                                         output_stride=output_stride, **run.net_options))
    found: dict[float, Outputs] = {}
    updates: list[tf.Operation] = []
    for scale in scales:
        others = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        # A later scale's moving averages are updated after an earlier one's, always: results stay bit-identical.
        with tf.control_dependencies(updates), tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            found[scale] = _in_float32(run.net.build(
                scaled(images, scale), run.num_classes, run.backbone, training=training, output_stride=output_stride,
                **_options_at(run.net_options, scale)))
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)[others:]
    return _merged(found, images, MERGES[run.recipe.model.merge_method])


def _in_float32(outputs: Outputs) -> Outputs:
    """Some nets' last layers are those of features, whose type may be another."""
    aux = {name: (tf.cast(logits, tf.float32), weight) for name, (logits, weight) in outputs.aux.items()}
    return Outputs(tf.cast(outputs.logits, tf.float32), aux, outputs.weight)


def _merged(found: Mapping[float, Outputs], images: tf.Tensor, merge: Callable[..., tf.Tensor]) -> Outputs:
    """The outputs of all scales as one."""
    size = _grid(images, max(found), found[max(found)].logits)
    logits = {scale: resize.resize_bilinear(tf.cast(each.logits, tf.float32), size) for scale, each in found.items()}
    aux = {f'{name}_{scale:g}': value for scale, each in found.items() for name, value in each.aux.items()}
    weight = next(iter(found.values())).weight
    if len(found) == 1:
        only, = logits.values()
        return Outputs(only, aux, weight)
    scales = {f'logits_{scale:.2f}': (each, weight) for scale, each in logits.items()}
    return Outputs(merge(tf.stack(list(logits.values())), axis=0), aux | scales, weight)


@dataclass(frozen=True)
class ForwardPass:
    """A net without training, as prediction sees it: `logits(images, scale)` float32 [N,h,w,C] of images [N,H,W,3].

    Images are padded with `pad_value` (0..255) to sides that are multiples of `multiple`; where that is 0, of
    k * output_stride + 1.
    """

    logits: Callable[[tf.Tensor, float], tf.Tensor]
    num_classes: int
    output_stride: int
    pad_value: tuple[float, float, float]
    multiple: int = 0


def forward_pass(run: Run) -> ForwardPass:
    """The forward pass of a Run with its moving statistics, at the output stride of its evaluation.

    An image pyramid is part of the net, and seen at each scale. The official eval.py drops it, at scale 1 too, where
    scales are given; so does this with `evaluation.official_compat`.
    """
    evaluation = run.recipe.evaluation
    dropped = evaluation.official_compat and evaluation.scales != (1.0,)
    pyramid = () if dropped else run.recipe.model.image_pyramid

    def logits(images: tf.Tensor, scale: float) -> tf.Tensor:
        scales = [scale * each for each in pyramid or (1.0,)]
        with model_scope(training=False, batch_norm='freeze_statistics'):
            return forward(run, images, scales, training=False, output_stride=run.eval_output_stride).logits
    return ForwardPass(logits, run.num_classes, run.eval_output_stride, run.backbone.pad_value, run.net.multiple)


def scaled(images: tf.Tensor, scale: float) -> tf.Tensor:
    """Images [N,H,W,3] with corners kept on corners."""
    return resize.resize_bilinear(images, resize.scaled_size(resize.spatial_size(images), scale))


def _options_at(options: Mapping[str, Any], scale: float) -> Mapping[str, Any]:
    """The net's options at a scale: a window of image pooling that was given in pixels scales along."""
    window = options.get('image_pooling_crop_size')
    return {**options, 'image_pooling_crop_size': list(resize.scaled_size(window, scale))} if window else options


def _grid(images: tf.Tensor, scale: float, logits: tf.Tensor) -> resize.Size:
    """(height, width) of the logits at `scale`, the largest, or at scale 1 where that is larger."""
    size = resize.spatial_size(logits)
    if scale >= 1:
        return size
    sides = zip(resize.spatial_size(images), resize.spatial_size(scaled(images, scale)), size, strict=True)
    height, width = (_full_side(*each) for each in sides)
    return height, width


def _full_side(image: resize.Side, scaled_image: resize.Side, logits: resize.Side) -> resize.Side:
    """A side of the logits of the unscaled image. The stride follows from the sides of a scaled image and its logits;
    where those are a single pixel it can't, and doesn't matter."""
    if not isinstance(scaled_image, int):
        strides = tf.constant(LOGIT_STRIDES)
        stride = tf.reduce_min(tf.where(strides * logits >= scaled_image, strides, tf.fill([len(LOGIT_STRIDES)], 64)))
        return (image - 1) // stride + 1
    stride = next(stride for stride in LOGIT_STRIDES if stride * logits >= scaled_image)
    return (image - 1) // stride + 1

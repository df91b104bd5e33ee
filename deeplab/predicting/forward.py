"""The net on several scales of an image and its logits merged (Chen et al., 2016, "Attention to Scale").

Each scale's logits are brought to the logit grid of the largest scale, or of the image itself where all are smaller, as
the released code does it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from deeplab.compat import tf
from deeplab.layers import resize
from deeplab.nets import Outputs
from deeplab.run import Run

MERGES = {'max': tf.reduce_max, 'avg': tf.reduce_mean}  # keys: run.MERGE_METHODS
LOGIT_STRIDES = (1, 2, 4, 8, 16, 32, 64)


def outputs(run: Run, images: tf.Tensor, scales: Sequence[float], *, training: bool, output_stride: int) -> Outputs:
    """Outputs of the run's net for images [N,H,W,3] (0..255); no scales, and 1 alone, are the net itself.

    With several scales the logits are merged, and those of each scale are in `aux`, all with the net's loss weight.
    Needs an open `model_scope`; all scales share the variables.
    """
    if tuple(scales) in ((), (1.0,)):
        return _net(run, images, run.net_options, training, output_stride)
    found, updates = {}, []
    for scale in scales:
        others = len(tf.get_collection(tf.GraphKeys.UPDATE_OPS))
        # A later scale's moving averages are updated after an earlier one's, always: results stay bit-identical.
        with tf.control_dependencies(updates), tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            found[scale] = _net(run, scaled(images, scale), _options(run, scale), training, output_stride)
        updates = tf.get_collection(tf.GraphKeys.UPDATE_OPS)[others:]
    size = _grid(images, max(found), found[max(found)].logits)
    logits = {scale: resize.resize_bilinear(tf.cast(each.logits, tf.float32), size) for scale, each in found.items()}
    aux = {f'{name}_{scale:g}': value for scale, each in found.items() for name, value in each.aux.items()}
    weight = found[scales[0]].weight
    if len(found) == 1:
        return Outputs(logits[scales[0]], aux, weight)
    merged = MERGES[run.recipe.model.merge_method](tf.stack(list(logits.values())), axis=0)
    return Outputs(merged, aux | {f'logits_{scale:.2f}': (each, weight) for scale, each in logits.items()}, weight)


def scaled(images: tf.Tensor, scale: float) -> tf.Tensor:
    """Images [N,H,W,3] with corners kept on corners."""
    return resize.resize_bilinear(images, resize.scaled_size(resize.spatial_size(images), scale))


def _net(run: Run, images: tf.Tensor, options: Mapping[str, Any], training: bool, output_stride: int) -> Outputs:
    return run.net(images, run.num_classes, run.backbone, training=training, output_stride=output_stride,
                   backbone_options=run.recipe.model.backbone_options, **options)


def _options(run: Run, scale: float) -> dict[str, Any]:
    """The net's options at a scale: a window of image pooling that was given in pixels scales along."""
    window = run.net_options.get('image_pooling_crop_size')
    if not window:
        return run.net_options
    return run.net_options | {'image_pooling_crop_size': list(resize.scaled_size(window, scale))}


def _grid(images: tf.Tensor, scale: float, logits: tf.Tensor):
    """(height, width) of the logits at `scale`, the largest, or at scale 1 where that is larger."""
    size = resize.spatial_size(logits)
    if scale >= 1:
        return size
    sides = zip(resize.spatial_size(images), resize.spatial_size(scaled(images, scale)), size, strict=True)
    return tuple(_full_side(*each) for each in sides)


def _full_side(image, scaled_image, logits):
    """A side of the logits of the unscaled image. The stride follows from the sides of a scaled image and its logits;
    where those are a single pixel it can't, and doesn't matter."""
    if not isinstance(scaled_image, int):
        strides = tf.constant(LOGIT_STRIDES)
        stride = tf.reduce_min(tf.where(strides * logits >= scaled_image, strides, tf.fill([len(LOGIT_STRIDES)], 64)))
        return (image - 1) // stride + 1
    stride = next(stride for stride in LOGIT_STRIDES if stride * logits >= scaled_image)
    return (image - 1) // stride + 1

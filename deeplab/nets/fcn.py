"""Fully convolutional networks (Long et al., 2015, arXiv:1411.4038; Shelhamer et al., 2016, arXiv:1605.06211)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deeplab.backbones.backbone import Backbone
from deeplab.compat import tf
from deeplab.layers.classifier import classifier, small_normal
from deeplab.layers.resize import spatial_size
from deeplab.nets.net import Outputs
from deeplab.nets.parts.fully_connected import fully_connected
from deeplab.nets.parts.upsampling import bilinear_upsampling
from deeplab.options import takes_options_of

COARSEST = 32
# "At once": the skips start far smaller than the main stream (the reference net voc-fcn8s-atonce).
AT_ONCE_SCALES = {16: 0.01, 8: 0.0001}


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """Scores by stride, added up from coarse to fine; fc6 and fc7 only on backbones that have them.

    Options:
      fc_channels: channels of fc6 and fc7; only on VGG16
      dropout_rate: of fc6 and fc7; only on VGG16
      at_once: scales the skips down, for training from ImageNet weights without the coarser nets first
      learn_upsampling: transposed convolutions between the skips; the reference nets fix them, at no cost in accuracy
    """

    fc_channels: int = 4096
    dropout_rate: float = 0.5
    at_once: bool = False
    learn_upsampling: bool = True


@takes_options_of(Decoder)
def fcn32s(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
           **options: Any) -> Outputs:
    """Logits at full resolution from stride 32 alone."""
    return _fcn((), images, num_classes, backbone, training, output_stride, Decoder(**options))


@takes_options_of(Decoder)
def fcn16s(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
           **options: Any) -> Outputs:
    """Logits at full resolution from strides 32 and 16; variables of `fcn32s` keep their names."""
    return _fcn((16,), images, num_classes, backbone, training, output_stride, Decoder(**options))


@takes_options_of(Decoder)
def fcn8s(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int, **options: Any
          ) -> Outputs:
    """Logits at full resolution from strides 32, 16 and 8; variables of `fcn16s` keep their names.

    xlmou/Semantic-Segmentation-TensorFlow restores no fc6 and fc7, drops out in evaluation too and upsamples
    with random kernels.
    """
    return _fcn((16, 8), images, num_classes, backbone, training, output_stride, Decoder(**options))


def _fcn(skips: Sequence[int], images: tf.Tensor, num_classes: int, backbone: Backbone, training: bool,
         output_stride: int, decoder: Decoder) -> Outputs:
    features = backbone.build(images, output_stride)
    net = features.output
    if backbone.fully_connected:
        # The reference pads the image by 100 pixels for an unpadded fc6; SAME gives each feature a score without it.
        net = fully_connected(net, decoder.fc_channels, backbone, kernel_size=7, rate=1,
                              dropout_rate=decoder.dropout_rate, training=training)
    stride = COARSEST
    with tf.variable_scope('logits'):
        # The paper starts this layer from 0 as well, which leaves everything below without a gradient at first.
        scores = classifier(net, num_classes, scope='score_32', initializer=small_normal(0.001))
        for skip in skips:
            tap = features.taps[skip]
            kernel = {'scope': f'upsample_{stride}'} if decoder.learn_upsampling else {}
            scores = bilinear_upsampling(scores, stride // skip, spatial_size(tap), **kernel)
            scale = AT_ONCE_SCALES[skip] if decoder.at_once else 1.0
            scores += classifier(tap * scale, num_classes, scope=f'score_{skip}', initializer=tf.zeros_initializer())
            stride = skip
    # Fixed, as the paper has the last upsampling.
    return Outputs(bilinear_upsampling(scores, stride, spatial_size(images)), {})

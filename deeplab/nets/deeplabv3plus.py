"""DeepLabv3+ (Chen et al., 2018, arXiv:1802.02611)."""

from collections.abc import Sequence
from typing import Any

from deeplab.backbones.backbone import Backbone
from deeplab.compat import tf
from deeplab.layers.resize import spatial_size
from deeplab.nets.net import Outputs
from deeplab.nets.parts.decoder import decode
from deeplab.nets.parts.head import Head, head_scope
from deeplab.options import takes_options_of


@takes_options_of(Head)
def deeplabv3plus(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
                  decoder_output_stride: Sequence[int] = (4,), decoder_filters: int = 256,
                  decoder_use_separable_conv: bool = True, decoder_use_sum_merge: bool = False,
                  decoder_output_is_logits: bool = False, decoder_low_level_filters: int = 48, decoder_convs: int = 2,
                  decoder_kernel_size: int = 3, **options: Any) -> Outputs:
    """Logits at the last of `decoder_output_stride` (descending) of float images `[N, H, W, 3]` in 0..255.

    Options:
      decoder_output_stride: strides of the taps that refine the features, largest first; logits have the last
      decoder_filters: of each of the decoder's convolutions
      decoder_use_separable_conv: depthwise separable convolutions in the decoder
      decoder_use_sum_merge: adds tap and features, after one convolution each, where otherwise they are concatenated
      decoder_output_is_logits: the decoder's sum is the logits, so its filters are the classes; needs
        decoder_use_sum_merge
      decoder_low_level_filters: of the 1x1 convolution of each tap (table 1)
      decoder_convs: convolutions behind the concatenation (table 2)
      decoder_kernel_size: side of the kernels of those convolutions (table 2)
    """
    head = Head(**options)
    _check_strides(decoder_output_stride, backbone)
    features = backbone.build(images, output_stride)
    with head_scope():
        net = head.context(features.output, output_stride, training)
        net = decode(net, features.taps, spatial_size(images), decoder_output_stride,
                     filters=num_classes if decoder_output_is_logits else decoder_filters,
                     separable=decoder_use_separable_conv, sum_merge=decoder_use_sum_merge,
                     is_logits=decoder_output_is_logits, activation=head.activation,
                     low_level_filters=decoder_low_level_filters, convs=decoder_convs, kernel_size=decoder_kernel_size)
        return Outputs(net if decoder_output_is_logits else head.logits(net, num_classes, output_stride), {})


def _check_strides(strides: Sequence[int], backbone: Backbone) -> None:
    choices = sorted(backbone.taps, reverse=True)
    if not strides or list(strides) != [stride for stride in choices if stride in strides]:
        raise ValueError(f'decoder_output_stride is {list(strides)}; {backbone.name} has taps at '
                         f'{choices or "no stride"}, to be given largest first')

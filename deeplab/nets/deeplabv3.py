"""DeepLabv3 (Chen et al., 2017, arXiv:1706.05587)."""

from typing import Any

from deeplab.backbones.backbone import Backbone
from deeplab.compat import tf
from deeplab.nets.net import Outputs
from deeplab.nets.parts.head import Head, head_scope
from deeplab.options import takes_options_of


@takes_options_of(Head)
def deeplabv3(images: tf.Tensor, num_classes: int, backbone: Backbone, *, training: bool, output_stride: int,
              **options: Any) -> Outputs:
    """Logits at `output_stride` of float images `[N, H, W, 3]` in 0..255.

    ResNets have the cascaded blocks of section 3.2 as the backbone option `cascaded_blocks`; their head is then
    `aspp_with_batch_norm=False, atrous_rates=()`.
    """
    head = Head(**options)
    features = backbone.build(images, output_stride).output
    with head_scope():
        features = head.context(features, output_stride, training)
        return Outputs(head.logits(features, num_classes, output_stride), {})

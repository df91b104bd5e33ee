"""No backbone: the normalised pixels, for nets that are built from the image itself."""

from deeplab.backbones.backbone import MID_GREY, UNIT_RANGE, Backbone, BatchNorm, Features
from deeplab.compat import tf


def pixels(images: tf.Tensor, output_stride: int) -> Features:
    """The images themselves, whatever the output stride of the net is."""
    return Features(images, {1: images})


BACKBONES = (
    Backbone(name='none', walk=pixels, scope='', pixels=UNIT_RANGE, pad_value=MID_GREY,
             batch_norm=BatchNorm(decay=0.99, epsilon=1e-3), output_strides=(1, 2, 4, 8, 16, 32), taps=(1,),
             pixels_only=True, changes_with_stride='they are the pixels', tested='always'),
)

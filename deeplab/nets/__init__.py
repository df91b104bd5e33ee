"""Every net by name: `net(images, num_classes, backbone, *, training, output_stride, **options) -> Outputs`."""

from deeplab.nets.deeplabv3 import deeplabv3
from deeplab.nets.deeplabv3plus import deeplabv3plus
from deeplab.nets.head import Outputs

NETS = {net.__name__: net for net in (deeplabv3, deeplabv3plus)}

__all__ = ['NETS', 'Outputs']

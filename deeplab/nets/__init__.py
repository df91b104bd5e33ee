"""Every net by name: `net(images, num_classes, backbone, *, training, output_stride, **options) -> Outputs`."""

from deeplab.nets.deeplabv1 import deeplabv1
from deeplab.nets.deeplabv2 import deeplabv2
from deeplab.nets.deeplabv3 import deeplabv3
from deeplab.nets.deeplabv3plus import deeplabv3plus
from deeplab.nets.dense_in_dense import dense_in_dense
from deeplab.nets.enet import enet
from deeplab.nets.fc_densenet import fc_densenet
from deeplab.nets.fcn import fcn8s, fcn16s, fcn32s
from deeplab.nets.gcn import gcn
from deeplab.nets.icnet import icnet
from deeplab.nets.net import Net, Outputs
from deeplab.nets.pspnet import pspnet
from deeplab.nets.segnet import segnet
from deeplab.nets.unet import unet

NETS: dict[str, Net] = {net.name: net for net in (
    Net(deeplabv1),
    Net(deeplabv2),
    Net(deeplabv3),
    Net(deeplabv3plus, taps=(4,)),
    Net(dense_in_dense),
    Net(enet, needs_backbone=False, output_strides=(8,), multiple=8),
    Net(fc_densenet, needs_backbone=False, output_strides=(1,), multiple=32),
    Net(fcn8s, taps=(8, 16), output_strides=(32,), multiple=32),
    Net(fcn16s, taps=(16,), output_strides=(32,), multiple=32),
    Net(fcn32s, output_strides=(32,), multiple=32),
    Net(gcn, taps=(4, 8, 16), output_strides=(32,), multiple=32),
    Net(icnet, backbone_options=('halve_after',)),
    Net(pspnet, taps=(16,)),
    Net(segnet, needs_backbone=False, output_strides=(32,), multiple=32),
    Net(unet, needs_backbone=False, output_strides=(16,), multiple=16),
)}

__all__ = ['NETS', 'Net', 'Outputs']

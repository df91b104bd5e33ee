"""Every backbone by name. A family is a file with a walker and rows, and a line here."""

from deeplab.backbones import densenet, mobilenet_edgetpu, mobilenet_v2, mobilenet_v3, nas, none, resnet, vgg, xception
from deeplab.backbones.backbone import Backbone, Features

FAMILIES = (mobilenet_v2, mobilenet_v3, mobilenet_edgetpu, resnet, xception, densenet, nas, vgg, none)
BACKBONES: dict[str, Backbone] = {backbone.name: backbone for family in FAMILIES for backbone in family.BACKBONES}

__all__ = ['BACKBONES', 'Backbone', 'Features']

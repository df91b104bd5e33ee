"""Every backbone by name. A family is a file with a walker and rows, and a line here."""

from deeplab.backbones import mobilenet_v2, resnet, xception
from deeplab.backbones.backbone import Backbone, Features

BACKBONES: dict[str, Backbone] = {
    backbone.name: backbone for family in (mobilenet_v2, resnet, xception) for backbone in family.BACKBONES
}

__all__ = ['BACKBONES', 'Backbone', 'Features']

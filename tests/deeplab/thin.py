"""Nets of issue 4 with few channels: the same layers as the papers', on maps that a test has time for."""

from deeplab.backbones import BACKBONES
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS

NUM_CLASSES = 5
THIN = {  # net: backbone, output stride, options of the net and of the backbone
    'fc_densenet': ('none', 1, {'layers': (2, 1, 1, 1, 1, 2, 1, 1, 1, 1, 2), 'growth': 4, 'filters': 6}, {}),
    'gcn': ('resnet_v1_18', 32, {'kernel_size': 7}, {'width_multiplier': 0.125}),
    'icnet': ('resnet_v1_18_beta', 8, {'filters': 16, 'fusion_filters': 8}, {'width_multiplier': 0.125}),
    'pspnet': ('resnet_v1_18_beta', 8, {'filters': 16}, {'width_multiplier': 0.125}),
}


def build(net, images, *, training=False, **options):
    """Outputs of a thin net, in the scope of a model."""
    backbone, output_stride, thin, narrow = THIN[net]
    with model_scope(training):
        return NETS[net](images, NUM_CLASSES, BACKBONES[backbone].with_options(narrow), training=training,
                         output_stride=output_stride, **{**thin, **options})

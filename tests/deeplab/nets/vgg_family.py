"""The nets of VGG16's family, thin enough for tests."""

import pytest

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS

THIN = {'depth_multiplier': 1 / 16}
DEEPLAB = {'depth_multiplier': 1 / 16, 'pool_size': 3}
THIN_NETS = {  # backbone, output stride, stride of the logits, options of the net and of the backbone
    'fcn32s': ('vgg_16', 32, 1, {'fc_channels': 24}, THIN),
    'fcn16s': ('vgg_16', 32, 1, {'fc_channels': 24}, THIN),
    'fcn8s': ('vgg_16', 32, 1, {'fc_channels': 24}, THIN),
    'deeplabv1': ('vgg_16', 8, 8, {'fc_channels': 24}, DEEPLAB),
    'deeplabv2': ('vgg_16', 8, 8, {'fc_channels': 24}, DEEPLAB),
    'segnet': ('none', 32, 1, {'depth_multiplier': 1 / 8}, {}),
    'unet': ('none', 16, 1, {'width': 4}, {}),
}
MULTI_SCALE = {'multi_scale': True}
NUM_CLASSES = 5
REPEATING = ('fcn32s', 'fcn16s')  # what fcn8s has


def thin_nets():
    assert set(REPEATING) < set(THIN_NETS) <= set(NETS)
    return [pytest.param(net, marks=pytest.mark.slow if net in REPEATING else ()) for net in THIN_NETS]


def build(net, images, training=False, **options):
    backbone, output_stride, _, thin, narrow = THIN_NETS[net]
    with model_scope(training):
        return NETS[net](images, NUM_CLASSES, BACKBONES[backbone].with_options(narrow), training=training,
                         **{'output_stride': output_stride, **thin, **options}).logits


def build_full(net, num_classes=21, **options):
    """The net as published, as a graph alone."""
    backbone, output_stride, *_ = THIN_NETS[net]
    with model_scope(training=False):
        NETS[net](tf.zeros([1, 65, 65, 3]), num_classes, BACKBONES[backbone], training=False,
                  output_stride=output_stride, **options)


def names():
    return {v.op.name for v in tf.global_variables()}

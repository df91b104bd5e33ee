"""ICNet: what its resolutions share, its heads' strides, and the widths of the released, pruned network."""

import numpy as np
import pytest

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.nets.icnet import FORK
from deeplab.recipes.recipe import Recipe, override
from deeplab.run import resolve
from tests.deeplab import fill
from tests.deeplab.thin import NUM_CLASSES, build

# Filters in icnet_cityscapes.prototxt of hszhao/ICNet.
RELEASED = {
    'resnet_v1_50/conv1_1': 32, 'resnet_v1_50/conv1_2': 32, 'resnet_v1_50/conv1_3': 64,
    **{f'resnet_v1_50/block{block}/unit_{unit}/bottleneck_v1/conv{i}': width * (4 if i == 3 else 1)
       for block, units, width in ((1, 3, 32), (2, 4, 64), (3, 6, 128), (4, 3, 256))
       for unit in range(1, units + 1) for i in (1, 2, 3)},
    **{f'resnet_v1_50/block{block}/unit_1/bottleneck_v1/shortcut': 64 << block for block in (1, 2, 3, 4)},
    'pyramid_pooling/conv': 256, 'fusion_16/conv': 128, 'fusion_16/projection': 128, 'fusion_8/conv': 128,
    'fusion_8/projection': 128, 'high_resolution/conv1': 32, 'high_resolution/conv2': 32, 'high_resolution/conv3': 64,
    'logits': 19,
}


def convolutions(graph):
    """{scope: operation} of all dense convolutions; an operation's second name shows that weights were used twice."""
    return {op.name.removesuffix('/Conv2D'): op for op in graph.get_operations() if op.type == 'Conv2D'}


def test_the_pruned_net_has_the_released_filters_and_dilations():
    backbone = BACKBONES['resnet_v1_50_beta'].with_options({'width_multiplier': 0.5})
    with tf.Graph().as_default() as graph:
        with model_scope(False):
            NETS['icnet'](tf.zeros([1, 65, 65, 3]), 19, backbone, training=False, output_stride=8,
                          filters=256)
        found = convolutions(graph)
        assert {name: op.inputs[1].shape.as_list()[-1] for name, op in found.items()} == RELEASED
        rates = {name: op.get_attr('dilations')[1] for name, op in found.items() if op.get_attr('dilations')[1] > 1}
    dilated = {block: {name: rate for name in RELEASED if block in name and name.endswith('conv2')}
               for block, rate in (('block3', 2), ('block4', 4))}
    assert rates == {'fusion_16/conv': 2, 'fusion_8/conv': 2, **dilated['block3'], **dilated['block4']}


def test_two_resolutions_share_the_trunk_up_to_the_fork():
    image = fill.images(65, 97).astype(np.float32)
    options = {'width_multiplier': 0.125}
    backbone = BACKBONES['resnet_v1_18_beta']
    with tf.Graph().as_default() as graph, tf.Session() as session, model_scope(False):
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            forked = backbone.build(tf.constant(image), 8, halve_after=FORK, **options)
            variables = tf.global_variables()
            plain = backbone.build(tf.constant(image), 8, **options)
            assert tf.global_variables() == variables
        unit = graph.get_tensor_by_name('resnet_v1_18_1/block2/unit_1/lite_bottleneck_v1/Relu:0')
        fill.fill(session, 'B')
        fork, wanted = session.run([forked.fork, unit])
    assert plain.fork is None
    np.testing.assert_array_equal(fork, wanted)
    assert fork.shape[1:3] == (9, 13) and forked.output.shape.as_list()[1:3] == [5, 7]


def test_each_kernel_is_used_once_and_heads_are_at_strides_16_8_and_4():
    with tf.Graph().as_default() as graph:
        outputs = build('icnet', tf.zeros([1, 129, 65, 3]), training=True)
        names = {v.op.name for v in tf.trainable_variables() if v.op.name.endswith('/weights')}
        assert {f'{name}/weights' for name in convolutions(graph)} == names
        shapes = {name: logits.shape.as_list() for name, (logits, _) in outputs.aux.items()}
    assert shapes == {'stride_16': [1, 9, 5, NUM_CLASSES], 'stride_8': [1, 17, 9, NUM_CLASSES]}
    assert outputs.logits.shape.as_list() == [1, 33, 17, NUM_CLASSES]


def test_a_backbone_that_cannot_be_halved_inside_is_refused():
    recipe = override(Recipe(), {'model.net': 'icnet', 'model.backbone': 'mobilenet_v2'})
    with pytest.raises(ValueError, match='icnet needs a backbone with halve_after, which mobilenet_v2 has not.*resnet'):
        resolve(recipe)

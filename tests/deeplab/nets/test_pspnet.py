"""PSPNet: where the pyramid pooling and the auxiliary head take their features from."""

import pytest

from deeplab.compat import slim, tf
from deeplab.layers.conv import batch_norm, conv2d
from deeplab.layers.scope import model_scope
from deeplab.nets.pspnet import pyramid_pooling
from tests.deeplab.thin import build

END = 'resnet_v1_18/block{}/unit_2/lite_bottleneck_v1/conv2/Relu'  # of the last convolution and the shortcut


def source(graph, name):
    """Name of the operation that a convolution reads; it has to be behind a sum."""
    operation = graph.get_operation_by_name(f'{name}/Conv2D').inputs[0].op
    assert operation.inputs[0].op.type == 'AddV2'
    return operation.name


def test_the_heads_read_the_ends_of_blocks_3_and_4():
    with tf.Graph().as_default() as graph:
        build('pspnet', tf.zeros([1, 65, 65, 3]), training=True)
        assert source(graph, 'auxiliary/conv') == END.format(3)
        assert graph.get_operation_by_name('pyramid_pooling/concat').inputs[0].op.name == END.format(4)


def test_each_level_has_its_share_of_the_channels():
    with tf.Graph().as_default(), model_scope(True), slim.arg_scope([batch_norm], decay=0.95, epsilon=1e-5), \
            slim.arg_scope([conv2d], initializer=tf.zeros_initializer()):
        pooled = pyramid_pooling(tf.zeros([2, 9, 9, 64]), (1, 2, 3, 6))
        kernels = {v.op.name: v.shape.as_list() for v in tf.trainable_variables() if v.op.name.endswith('weights')}
    assert pooled.shape.as_list() == [2, 9, 9, 128]
    assert kernels == {f'bins_{bins}/conv/weights': [1, 1, 64, 16] for bins in (1, 2, 3, 6)}


@pytest.mark.parametrize('weight', [0.0, 1.0])
def test_the_auxiliary_weight_is_an_option(weight):
    with tf.Graph().as_default():
        aux = build('pspnet', tf.zeros([1, 33, 33, 3]), training=True, auxiliary_weight=weight).aux
        assert {name: each[1] for name, each in aux.items()} == ({'auxiliary': weight} if weight else {})
        assert bool(weight) == any(v.op.name.startswith('auxiliary') for v in tf.trainable_variables())


def test_without_bins_it_is_the_papers_baseline():
    with tf.Graph().as_default() as graph:
        build('pspnet', tf.zeros([1, 33, 33, 3]), bins=())
        assert source(graph, 'decoder/conv') == END.format(4)
        assert not [v for v in tf.trainable_variables() if 'pyramid' in v.op.name]

"""ResNets against slim's own code, and the blocks that slim doesn't have."""

import re

import numpy as np
import pytest
import tf_slim
from tf_slim.nets import resnet_utils, resnet_v1, resnet_v2

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.conv import batch_norm
from deeplab.layers.scope import model_scope
from tests.deeplab import fill

SLIM = {
    'resnet_v1_50': resnet_v1.resnet_v1_50, 'resnet_v1_101': resnet_v1.resnet_v1_101,
    'resnet_v2_50': resnet_v2.resnet_v2_50, 'resnet_v2_101': resnet_v2.resnet_v2_101,
    'resnet_v2_152': resnet_v2.resnet_v2_152,
}
FAST = ('resnet_v2_50', 8, 64)
EPSILON = 1e-5


@tf_slim.add_arg_scope
def slims_batch_norm(inputs, activation_fn=None, scope=None, **_):
    """slim.batch_norm doesn't run on this TensorFlow; its names and meaning are those of ours."""
    outputs = batch_norm(inputs, mode='freeze_statistics', decay=0.0, epsilon=EPSILON, scope=scope or 'BatchNorm')
    return activation_fn(outputs) if activation_fn else outputs


def slims(name, images, output_stride):
    """Output of slim's network before its average pooling."""
    with tf_slim.arg_scope([tf_slim.conv2d], normalizer_fn=slims_batch_norm, activation_fn=tf.nn.relu), \
            tf_slim.arg_scope([tf_slim.max_pool2d], padding='SAME'):
        return SLIM[name](images, output_stride=output_stride, global_pool=False, is_training=False)[0]


@pytest.fixture
def patched(monkeypatch):
    for module in (resnet_v1, resnet_v2, resnet_utils):
        monkeypatch.setattr(module.layers, 'batch_norm', slims_batch_norm)


@pytest.mark.parametrize(('name', 'output_stride', 'size'), [
    pytest.param(*case, marks=() if case == FAST else pytest.mark.slow) for case in (
        *((name, output_stride, size) for name in ('resnet_v1_50', 'resnet_v2_50')
          for output_stride, size in ((8, 64), (16, 33), (32, 64))),
        ('resnet_v1_101', 16, 64), ('resnet_v2_101', 16, 64), ('resnet_v2_152', 16, 64))])
def test_names_and_features_equal_slims(patched, name, output_stride, size):
    found = []
    for build in (lambda x: slims(name, x, output_stride), lambda x: BACKBONES[name].walk(x, output_stride).output):
        with tf.Graph().as_default(), tf.Session() as session, model_scope(training=False), \
                tf_slim.arg_scope([batch_norm], decay=0.9, epsilon=EPSILON):
            output = build(tf.constant(fill.images(size, size) / 127.5 - 1, tf.float32))
            variables = {v.op.name: v.shape.as_list() for v in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
            fill.fill(session, 'B')
            found.append((variables, session.run(output)))
    (slims_variables, expected), (variables, features) = found
    assert variables == slims_variables and len(variables) > 200
    assert np.abs(features - expected).max() <= 3e-5 * np.abs(expected).max()


@pytest.mark.parametrize('name', ['resnet_v1_50', 'resnet_v2_50'])
def test_cascaded_blocks_repeat_block_4_at_growing_rates(name):
    rates = {}
    with tf.Graph().as_default() as graph, model_scope(training=False):
        features = BACKBONES[name].build(tf.zeros([1, 65, 65, 3]), 16, multi_grid=(1, 2, 1), cascaded_blocks=3)
        shapes = {v.op.name: v.shape.as_list() for v in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
        for op in graph.get_operations():
            if op.type == 'Conv2D' and '/conv2/' in op.name:
                rates[re.search(r'block\d/unit_\d', op.name).group()] = op.get_attr('dilations')[1]
    assert features.output.shape.as_list() == [1, 5, 5, 2048]
    for block, rate in (('block4', 2), ('block5', 4), ('block6', 8), ('block7', 16)):
        assert [rates[f'{block}/unit_{unit}'] for unit in (1, 2, 3)] == [rate, 2 * rate, rate], block
    copies = {n.removeprefix('cascade/') for n in shapes if n.startswith('cascade/')}
    for block in ('block5', 'block6', 'block7'):
        names = {n.removeprefix(f'{block}/') for n in copies if n.startswith(f'{block}/')}
        originals = {n.removeprefix(f'{name}/block4/') for n in shapes if n.startswith(f'{name}/block4/')}
        assert names == {n for n in originals if 'shortcut' not in n}, block


def test_nominal_depth_of_a_lite_resnet_is_reached_without_bottlenecks():
    with tf.Graph().as_default(), model_scope(training=False):
        features = BACKBONES['resnet_v1_18'].build(tf.zeros([1, 65, 65, 3]), 32)
    assert features.output.shape.as_list() == [1, 3, 3, 512]

"""VGG16: slim's own names and shapes, and its pooling against numpy."""

import math

import numpy as np
import pytest
from tf_slim.nets import vgg as slims

from deeplab.backbones import BACKBONES, vgg
from deeplab.compat import slim, tf
from deeplab.layers.scope import model_scope
from deeplab.nets.fcn import fcn32s
from tests.deeplab import fill


def shapes():
    return {v.op.name: tuple(v.shape.as_list()) for v in tf.global_variables()}


def test_variables_are_those_of_slims_vgg_16():
    """With the fc6 and fc7 that FCN puts on it; fc8 are ImageNet's classes."""
    with tf.Graph().as_default(), slim.arg_scope(slims.vgg_arg_scope()):
        slims.vgg_16(tf.zeros([1, 224, 224, 3]), is_training=False, spatial_squeeze=False)
        wanted = {name: shape for name, shape in shapes().items() if '/fc8/' not in name and name != 'global_step'}
    with tf.Graph().as_default(), model_scope(training=False):
        fcn32s(tf.zeros([1, 224, 224, 3]), 5, BACKBONES['vgg_16'], training=False, output_stride=32)
        found = {name: shape for name, shape in shapes().items() if name.startswith('vgg_16/')}
    assert found == wanted and len(wanted) == 2 * 15
    assert wanted['vgg_16/fc6/weights'] == (7, 7, 512, 4096)


def expected_pool(values, size, stride, rate):
    """Ten lines of numpy: the maximum of the pixels that a window sees."""
    sides = values.shape[1:3]
    offsets = (-1, 0, 1) if size == 3 else (0, rate if stride == 1 else 1)
    pooled = np.zeros((1, *(math.ceil(side / stride) for side in sides), values.shape[-1]), np.float32)
    for i, j in np.ndindex(pooled.shape[1:3]):
        seen = [values[0, i * stride + a, j * stride + b] for a in offsets for b in offsets
                if 0 <= i * stride + a < sides[0] and 0 <= j * stride + b < sides[1]]
        pooled[0, i, j] = np.max(seen, axis=0)
    return pooled


@pytest.mark.parametrize(('size', 'stride', 'rate'), [(2, 2, 1), (2, 1, 1), (2, 1, 2), (3, 2, 1), (3, 1, 2)])
def test_pooling_is_that_of_numpy_on_any_side(size, stride, rate):
    values = np.random.RandomState(0).uniform(0, 1, (1, 9, 8, 2)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(vgg._max_pool(tf.constant(values), size, stride, rate))
    np.testing.assert_array_equal(found, expected_pool(values, size, stride, rate))


@pytest.mark.parametrize('size', [(65, 49), (64, 47)])
def test_deeplabs_pools_keep_the_sizes(size):
    with tf.Graph().as_default(), model_scope(training=False):
        features = BACKBONES['vgg_16'].build(tf.zeros([1, *size, 3]), 8, depth_multiplier=1 / 64, pool_size=3)
        assert features.output.shape.as_list() == [1, *(math.ceil(side / 8) for side in size), 8]
        with pytest.raises(ValueError, match='pool_size = 4 is unknown; choices: 2, 3'):
            BACKBONES['vgg_16'].build(tf.zeros([1, 9, 9, 3]), 8, pool_size=4)


def test_pixels_are_slims():
    """slim/preprocessing/vgg_preprocessing.py subtracts these and scales by nothing."""
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(BACKBONES['vgg_16'].pixels.normalize(tf.constant(fill.images(2, 2), tf.float32)))
    np.testing.assert_allclose(found, fill.images(2, 2) - [123.68, 116.78, 103.94], atol=1e-4)

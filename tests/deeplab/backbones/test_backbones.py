"""The contract of every backbone, and what single ones promise beside it."""

import numpy as np
import pytest

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from tests.deeplab.backbones import contract


def every_backbone():
    quick = {name for name, backbone in BACKBONES.items() if backbone.tested == 'always'}
    assert quick and len(BACKBONES) >= 13
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in BACKBONES]


@pytest.mark.parametrize('name', every_backbone())
def test_dense_features_subsampled_are_those_at_a_larger_stride(name):
    if BACKBONES[name].changes_with_stride:
        pytest.skip(BACKBONES[name].changes_with_stride)
    contract.check_dense_features(BACKBONES[name])


@pytest.mark.parametrize('name', every_backbone())
def test_features_and_taps_have_the_sizes_of_their_strides(name):
    contract.check_sizes(BACKBONES[name])


@pytest.mark.parametrize('name', BACKBONES)
def test_every_record_is_complete_and_refuses_what_it_cannot_do(name):
    assert BACKBONES[name].name == name
    contract.check_record(BACKBONES[name])
    contract.check_refusal(BACKBONES[name])


def test_pixels_are_normalised_in_the_graph():
    images = np.array([[[[0.0, 127.5, 255.0]]]], np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        grey, mean = (session.run(BACKBONES[name].pixels.normalize(tf.constant(images)))
                      for name in ('mobilenet_v2', 'resnet_v1_50'))
        extra = session.run(BACKBONES['resnet_v1_50'].pixels.normalize(tf.ones([1, 1, 1, 4])))
    np.testing.assert_allclose(grey, [[[[-1, 0, 1]]]], atol=1e-6)
    np.testing.assert_allclose(mean, images - [123.15, 115.90, 103.06], rtol=1e-6)
    assert extra[0, 0, 0, 3] == 1


@pytest.mark.parametrize(('name', 'value'), [
    ('resnet_v1_18', (127.5,) * 3), ('resnet_v1_50', (123.15, 115.90, 103.06)), ('resnet_v1_50_beta', (127.5,) * 3),
    ('mobilenet_v2', (127.5,) * 3), ('xception_65', (127.5,) * 3)])
def test_padding_is_the_released_codes(name, value):
    assert BACKBONES[name].pad_value == value


@pytest.mark.parametrize(('options', 'channels'), [
    ({'depth_multiplier': 0.5}, [16, 8, 12, 16, 32, 48, 80, 160]),
    ({'depth_multiplier': 0.35, 'divisible_by': 8}, [16, 8, 8, 16, 24, 32, 56, 112]),
    ({}, [32, 16, 24, 32, 64, 96, 160, 320]),
])
def test_mobilenet_v2_rounds_channels_as_released(options, channels):
    with tf.Graph().as_default(), model_scope(training=False):
        BACKBONES['mobilenet_v2'].build(tf.zeros([1, 33, 33, 3]), 16, **options)
        shapes = {v.op.name.removeprefix('MobilenetV2/').removesuffix('/weights'): v.shape.as_list()[-1]
                  for v in tf.trainable_variables() if v.op.name.endswith('/weights')}
    found = [shapes['Conv']] + [shapes[f'expanded_conv{i}/project'] for i in (
        '', '_1', '_3', '_6', '_10', '_13', '_16')]
    assert found == channels


@pytest.mark.parametrize(('name', 'grid'), [('resnet_v1_50', (1, 2)), ('xception_41', (1, 2))])
def test_a_multi_grid_of_another_length_is_refused(name, grid):
    with tf.Graph().as_default(), model_scope(training=False), pytest.raises(ValueError, match=r'\[1, 2\].* has 3 '):
        BACKBONES[name].build(tf.zeros([1, 33, 33, 3]), 16, multi_grid=grid)

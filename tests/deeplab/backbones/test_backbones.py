"""The contract of every backbone."""

import inspect
import math

import numpy as np
import pytest

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from tests.deeplab import fill

FAST = ('mobilenet_v2', 'resnet_v1_18')
STRIDES = (8, 16, 32)
CHANGES_WITH_STRIDE = {
    'mobilenet_v3_large_seg': 'squeeze-and-excite averages over all positions, and dense features have others',
    'mobilenet_v3_small_seg': 'the same, and it gains a residual connection where its stride is removed',
    'nas_pnasnet': 'its channels depend on the output stride',
    'nas_hnasnet': 'it has one output stride',
    'none': 'its features are the pixels, whatever the stride',
}
# 2^k + 1 pixels: strided samples and corners coincide whatever the output stride.
SIZE = 65


def every_backbone():
    assert set(FAST) < set(BACKBONES)
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in BACKBONES]


@pytest.mark.parametrize('name', every_backbone())
def test_dense_features_subsampled_are_those_at_a_larger_stride(name):
    if name in CHANGES_WITH_STRIDE:
        pytest.skip(CHANGES_WITH_STRIDE[name])
    with tf.Graph().as_default(), tf.Session() as session, model_scope(training=False):
        images, features, variables = tf.constant(fill.images(SIZE, SIZE), tf.float32), {}, []
        for output_stride in STRIDES:
            with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
                output, taps, *_ = BACKBONES[name].build(images, output_stride)
            features[output_stride] = {STRIDES[-1]: output, **taps}
            variables.append([v.op.name for v in tf.global_variables()])
        assert all(v.startswith(BACKBONES[name].scope + '/') for v in variables[0]) and variables == [variables[0]] * 3
        fill.fill(session, 'B')
        found = session.run(features)
    nominal = found[STRIDES[-1]]
    assert nominal[STRIDES[-1]].shape[1:3] == (math.ceil(SIZE / STRIDES[-1]),) * 2
    for output_stride, dense in found.items():
        for stride, values in dense.items():
            step = max(stride // output_stride, 1)
            np.testing.assert_allclose(values[:, ::step, ::step], nominal[stride], rtol=0,
                                       atol=1e-5 * np.abs(nominal[stride]).max(), err_msg=f'{output_stride} {stride}')


@pytest.mark.parametrize('name', every_backbone())
def test_taps_are_named_by_their_nominal_stride(name):
    with tf.Graph().as_default(), model_scope(training=False):
        output_stride = 8 if name == 'nas_hnasnet' else STRIDES[-1]
        taps = BACKBONES[name].build(tf.zeros([1, SIZE, SIZE, 3]), output_stride).taps
        assert set(taps) == set(BACKBONES[name].taps)
        for stride, tap in taps.items():
            assert tap.shape.as_list()[1:3] == [math.ceil(SIZE / stride)] * 2


def test_every_record_is_complete_and_refuses_what_it_cannot_do():
    assert len(BACKBONES) >= 13
    for name, backbone in BACKBONES.items():
        assert backbone.name == name and 16 in backbone.output_strides
        with tf.Graph().as_default(), pytest.raises(ValueError, match=f'output stride of {name} = 12 is unknown'):
            backbone.build(tf.zeros([1, 9, 9, 3]), 12)
        parameters = list(inspect.signature(backbone.build).parameters.values())
        assert [p.name for p in parameters[:2]] == ['images', 'output_stride']
        assert all(p.kind is p.KEYWORD_ONLY and p.default is not p.empty for p in parameters[2:])
        assert backbone.build.__name__ == name


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

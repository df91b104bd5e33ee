"""The contract of every net with every backbone, and the options of the DeepLabs."""

import inspect
import itertools
import math

import numpy as np
import pytest

from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.nets.parts.dense_prediction_cell import CELLS, load_cell
from deeplab.nets.parts.head import Head, head_scope
from tests.deeplab import fill
from tests.deeplab.nets.contract import (
    NUM_CLASSES,
    build,
    check_inference_graph,
    check_training,
    fits,
    goes_with,
    last_net,
)

QUICK = ('deeplabv3', 'deeplabv3plus', 'enet')


def pairs():
    every = [pair for pair in itertools.product(NETS, BACKBONES) if goes_with(*pair)]
    quick = [(net, backbone) for net, backbone in every if net in QUICK and BACKBONES[backbone].tested == 'always']
    assert {net for net, _ in quick} == set(QUICK) and {net for net, _ in every} == set(NETS)
    return [pytest.param(*pair, marks=() if pair in quick else pytest.mark.slow) for pair in every]


@pytest.mark.parametrize(('net', 'backbone'), pairs())
def test_training_starts_at_ln_classes_and_reaches_every_variable(net, backbone):
    check_training(net, backbone)


@pytest.mark.parametrize('backbone', [
    pytest.param(name, marks=() if record.tested == 'always' else pytest.mark.slow)
    for name, record in BACKBONES.items()])
def test_an_inference_graph_has_no_updates(backbone):
    check_inference_graph(last_net(backbone), backbone)


@pytest.mark.parametrize('net', NETS)
def test_the_signature_is_the_schema(net):
    parameters = inspect.signature(NETS[net].build).parameters
    assert list(parameters)[:3] == ['images', 'num_classes', 'backbone']
    options = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert len(options) == len(parameters) - 3
    assert {'training', 'output_stride'} <= {p.name for p in options}
    assert all(p.default is not p.empty for p in options if p.name not in ('training', 'output_stride'))
    with tf.Graph().as_default(), pytest.raises(TypeError, match='no_such_option'):
        backbone = next(name for name, record in BACKBONES.items() if fits(NETS[net], record))
        build(net, backbone, tf.zeros([1, 33, 33, 3]), no_such_option=1)


@pytest.mark.parametrize(('net', 'stride', 'size'), [('deeplabv3', 16, (50, 70)), ('deeplabv3plus', 4, (31, 64))])
def test_a_graph_of_unknown_size_equals_one_of_known_size(net, stride, size):
    image = fill.images(*size).astype(np.float32)
    found = []
    for shape in ([None, None, None, 3], [1, *size, 3]):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, shape)
            logits = build(net, 'resnet_v1_18', images).logits
            fill.fill(session, 'B')
            found.append(session.run(logits, {images: image}))
    assert found[1].shape == (1, *(math.ceil(side / stride) for side in size), NUM_CLASSES)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5 * np.abs(found[1]).max())


@pytest.mark.parametrize('options', [
    {'dense_prediction_cell': [{'op': 'pyramid_pooling', 'input': -1, 'grid_size': [1, 1]},
                               {'op': 'pyramid_pooling', 'input': 0, 'grid_size': [2, 3]}]},
    {'dense_prediction_cell': [{'op': 'pyramid_pooling', 'input': -1, 'grid_size': [2, 1]}],
     'image_pooling_crop_size': (33, 257)},
    {'dense_prediction_cell': [{'op': 'pyramid_pooling', 'input': -1, 'kernel': [2, 9], 'target_size_factor': [2, 9]}]},
    {'image_pooling_crop_size': (33, 129)}, {'image_pooling_crop_size': (129, 17), 'image_pooling_stride': (4, 5)}])
def test_a_head_pools_features_of_unknown_size_as_those_of_known_size(options):
    features = np.random.RandomState(0).normal(size=(2, 5, 7, 4)).astype(np.float32)
    head, found = Head(aspp_convs_filters=4, cell_filters=4, cell_concat_filters=4, atrous_rates=(), **options), []
    for shape in ([None, None, None, 4], features.shape):
        with tf.Graph().as_default(), tf.Session() as session, model_scope(training=False), head_scope():
            outputs = head.context(tf.placeholder_with_default(features, shape), 16, training=False)
            fill.fill(session, 'B')
            found.append(session.run(outputs))
    assert found[1].shape == (2, 5, 7, 4) and found[1].std() > 0.01
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5 * np.abs(found[1]).max())


@pytest.mark.parametrize('options', [
    {}, {'dense_prediction_cell': [{'op': 'pyramid_pooling', 'input': -1, 'grid_size': [1, 1]}]}])
@pytest.mark.parametrize(('output_stride', 'window'), [(4, [9, 5]), (8, [5, 3]), (16, [3, 2])])
def test_a_window_of_image_pooling_is_given_in_pixels(options, output_stride, window):
    head = Head(aspp_convs_filters=4, atrous_rates=(), image_pooling_crop_size=(33, 17), **options)
    with tf.Graph().as_default() as graph, model_scope(training=False), head_scope():
        head.context(tf.zeros([1, 17, 17, 4]), output_stride, training=False)
        pool, = [op for op in graph.get_operations() if op.type == 'AvgPool']
    assert pool.get_attr('ksize') == [1, *window, 1]


def test_another_scale_shares_every_variable():
    with tf.Graph().as_default():
        for size, created in ((65, None), (33, [])):
            before = tf.global_variables()
            with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
                build('deeplabv3plus', 'resnet_v1_18', tf.zeros([1, size, size, 3]))
            new = [v for v in tf.global_variables() if v not in before]
            assert new == created if created is not None else new


def dilations(**options):
    """Rates of the ASPP branches."""
    with tf.Graph().as_default() as graph:
        build('deeplabv3', 'resnet_v1_18', tf.zeros([1, 65, 65, 3]), aspp_with_separable_conv=False, **options)
        return [graph.get_operation_by_name(f'aspp{i}/Conv2D').get_attr('dilations')[1] for i in (1, 2, 3)]


@pytest.mark.parametrize(('output_stride', 'options', 'rates'), [
    (16, {}, [6, 12, 18]), (8, {}, [12, 24, 36]), (32, {}, [3, 6, 9]),
    (8, {'atrous_rates': (12, 24, 36), 'atrous_rates_stride': 8}, [12, 24, 36])])
def test_atrous_rates_follow_the_output_stride(output_stride, options, rates):
    assert dilations(output_stride=output_stride, **options) == rates


def test_dropout_is_there_in_training_only():
    for training in (True, False):
        with tf.Graph().as_default() as graph:
            build('deeplabv3', 'resnet_v1_18', tf.zeros([2, 33, 33, 3]), training=training, batch_norm='freeze')
            assert any('concat_projection_dropout' in op.name for op in graph.get_operations()) == training
            assert tf.trainable_variables() and not [
                v for v in tf.trainable_variables() if v.op.name.endswith(('gamma', 'beta'))]


@pytest.mark.parametrize(('net', 'options', 'message'), [
    ('deeplabv3', {'output_stride': 32, 'atrous_rates': (6, 7)}, r'\[6, 7\] .* not whole at output stride 32'),
    ('deeplabv3', {'logits_kernel_size': 3}, 'logits_kernel_size is 3; it must be 1'),
    ('deeplabv3plus', {'decoder_output_stride': (4, 8)}, r'\[4, 8\]; resnet_v1_18 has taps at \[16, 8, 4\]'),
    ('deeplabv3plus', {'decoder_output_stride': (2,)}, r'\[2\]; resnet_v1_18 has taps at'),
    ('deeplabv3plus', {'decoder_output_stride': ()}, r'\[\]; resnet_v1_18 has taps at'),
    ('deeplabv3plus', {'decoder_output_is_logits': True}, 'needs decoder_use_sum_merge'),
])
def test_options_that_contradict_each_other_are_refused(net, options, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        build(net, 'resnet_v1_18', tf.zeros([1, 33, 33, 3]), **options)


def test_a_dense_prediction_cell_is_built_from_its_operations():
    cell = [{'op': 'conv', 'input': -1, 'kernel': 1, 'rate': [1, 1]},
            {'op': 'conv', 'input': 0, 'kernel': 3, 'rate': [6, 21]},
            {'op': 'pyramid_pooling', 'input': 1, 'grid_size': [2, 1]}]
    shapes = {}
    of_aspp = {'atrous_rates': (12, 24, 36), 'atrous_rates_stride': 8}  # which a cell takes the place of
    for output_stride, options, blocks in ((16, {}, [6, 21]), (8, {}, [12, 42]), (8, of_aspp, [12, 42]),
                                           (8, {'cell_rates_stride': 8}, [6, 21])):
        with tf.Graph().as_default() as graph:
            logits = build('deeplabv3', 'resnet_v1_18', tf.zeros([1, 65, 97, 3]), output_stride=output_stride,
                           dense_prediction_cell=cell, **options).logits
            shapes[output_stride] = logits.shape.as_list()
            head = {v.op.name for v in tf.trainable_variables() if v.op.name.startswith('meta_architecture')}
            pool, = [op for op in graph.get_operations() if op.type == 'AvgPool']
            rate, = [tf.get_static_value(op.inputs[1]).tolist() for op in graph.get_operations()
                     if op.type == 'SpaceToBatchND' and op.name.startswith('meta_architecture')]
        assert rate == blocks
        assert pool.get_attr('ksize') == [1, (shapes[output_stride][1] - 1) // 2 + 1, shapes[output_stride][2], 1]
    assert shapes == {16: [1, 5, 7, NUM_CLASSES], 8: [1, 9, 13, NUM_CLASSES]}
    assert {name for name in head if name.endswith('weights')} == {f'meta_architecture/{name}' for name in (
        'branch0/weights', 'branch1_depthwise/depthwise_weights', 'branch1_pointwise/weights', 'branch2/weights',
        'concat_projection/weights')}


def test_the_published_cell_has_a_name():
    assert load_cell('branch5_top1_cityscapes') == load_cell(str(CELLS / 'branch5_top1_cityscapes.json'))
    assert len(load_cell('branch5_top1_cityscapes')) == 5


def test_a_point_of_a_cell_needs_no_rate():
    points = [{'op': 'conv', 'input': -1, 'kernel': kernel} for kernel in (1, [1, 1])]
    assert load_cell(points) == points


@pytest.mark.parametrize(('cell', 'message'), [
    ('no_such_cell', "'no_such_cell' is unknown; choices: branch5_top1_cityscapes"),
    ([{'op': 'pool', 'input': -1}], "operation 0: op = 'pool' is unknown; choices: conv, pyramid_pooling"),
    ([{'op': 'conv', 'input': -1, 'kernel': 3}], 'operation 0 has .*; it needs .*rate'),
    ([{'op': 'pyramid_pooling', 'input': -1, 'kernel': [1, 1]}], 'operation 0 has .*; it needs .*grid_size'),
    ([{'op': 'pyramid_pooling', 'input': 0, 'grid_size': [1, 1]}], 'operation 0 has input 0; it may be -1 to -1'),
])
def test_a_cell_that_makes_no_sense_is_refused(cell, message):
    with pytest.raises(ValueError, match=message):
        load_cell(cell)

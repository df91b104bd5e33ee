"""The nets of VGG16's family: sizes, names, sense, and the figures of their papers."""

import math

import numpy as np
import pytest

from deeplab import optimizer, run
from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.nets.parts.upsampling import bilinear_upsampling
from deeplab.recipes import recipe as recipes
from deeplab.training.estimators import model_variables
from tests.deeplab import fill

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
BRANCHES = {'image': 3, 'pool1': 64, 'pool2': 128, 'pool3': 256, 'pool4': 512}  # of DeepLab-v1 MSc: their channels
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


def with_options():
    return [*(pytest.param(*net.values, {}, marks=net.marks) for net in thin_nets()), ('deeplabv1', MULTI_SCALE)]


@pytest.mark.parametrize(('net', 'options'), with_options())
def test_a_thin_one_starts_at_ln_classes_and_reaches_every_variable(net, options):
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(3)
        logits = build(net, tf.constant(fill.images(65, 49, batch=2), tf.float32), training=True, **options)
        labels = np.random.RandomState(0).randint(0, NUM_CLASSES, logits.shape.as_list()[:3])
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        variables = tf.trainable_variables()
        gradients = tf.gradients(tf.reduce_mean(loss), variables)
        assert None not in gradients
        session.run(tf.global_variables_initializer())
        start, values = session.run([-tf.reduce_mean(tf.nn.log_softmax(logits)), gradients])
    assert start == pytest.approx(math.log(NUM_CLASSES), rel=0.01)
    dead = [v.op.name for v, g in zip(variables, values, strict=True) if not np.isfinite(g).all() or not np.any(g)]
    assert dead == [] and len(variables) >= 23


@pytest.mark.parametrize('net', thin_nets())
def test_any_size_gives_logits_of_the_size_that_it_promises(net):
    size, stride = (37, 50), THIN_NETS[net][2]
    image = fill.images(*size).astype(np.float32)
    found = []
    for shape in ([None, None, None, 3], [1, *size, 3]):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, shape)
            logits = build(net, images)
            fill.fill(session, 'B')
            found.append(session.run(logits, {images: image}))
    assert found[0].shape == (1, *(math.ceil(side / stride) for side in size), NUM_CLASSES)
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5 * np.abs(found[1]).max())


@pytest.mark.parametrize(('net', 'options', 'layers'), [
    ('fcn8s', {}, 2), ('deeplabv1', {}, 2), ('deeplabv1', MULTI_SCALE, 12), ('deeplabv2', {}, 8), ('unet', {}, 2)])
def test_dropout_is_there_in_training_only(net, options, layers):
    for training, count in ((True, layers), (False, 0)):
        with tf.Graph().as_default() as graph:
            build(net, tf.zeros([1, 33, 33, 3]), training=training, **options)
            random = [op for op in graph.get_operations() if op.type == 'StatelessRandomUniformV2']
            assert len(random) == count


@pytest.mark.parametrize(('net', 'options', 'millions', 'digit'), [
    ('fcn8s', {}, 134, 1),  # Long et al., table 1
    ('deeplabv1', {'fc6_kernel_size': 7, 'fc6_rate': 4, 'fc_channels': 4096}, 134.3, 0.1),  # DeepLab-v1, table 2
    ('deeplabv1', {'fc6_kernel_size': 4, 'fc6_rate': 8, 'fc_channels': 4096}, 65.1, 0.1),
    ('deeplabv1', {}, 20.5, 0.1),
    ('segnet', {'num_classes': 11}, 29.5, 0.1),  # SegNet, table 6, from memory
    ('unet', {'num_classes': 2}, 31.0, 0.1),  # counted from the paper's figure 1, which gives none
])
def test_parameters_are_the_papers(net, options, millions, digit):
    with tf.Graph().as_default():
        build_full(net, **options)
        assert sum(int(np.prod(v.shape)) for v in tf.trainable_variables()) / 1e6 == pytest.approx(millions, abs=digit)


def test_finer_fcns_start_from_the_coarser_one():
    found = []
    for net in ('fcn32s', 'fcn16s', 'fcn8s'):
        with tf.Graph().as_default():
            build(net, tf.zeros([1, 65, 65, 3]))
            found.append(names())
    assert found[0] < found[1] < found[2]
    assert found[2] - found[0] == {f'logits/{name}' for name in (
        'upsample_32/weights', 'score_16/weights', 'score_16/biases', 'upsample_16/weights', 'score_8/weights',
        'score_8/biases')}
    with tf.Graph().as_default():
        build('fcn8s', tf.zeros([1, 65, 65, 3]), learn_upsampling=False)
        assert names() == found[2] - {'logits/upsample_32/weights', 'logits/upsample_16/weights'}


def test_at_once_scales_the_skips():
    image = fill.images(33, 49).astype(np.float32)
    found = {}
    for at_once in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            logits = build('fcn8s', tf.constant(image), at_once=at_once)
            fill.fill(session, 'B')
            for skip, scale in ((16, 0.01), (8, 0.0001)):
                weights, = [v for v in tf.global_variables() if v.op.name == f'logits/score_{skip}/weights']
                session.run(weights.assign(weights * (100.0 if at_once else scale * 100.0)))
            found[at_once] = session.run(logits)
    np.testing.assert_allclose(found[True], found[False], rtol=0, atol=1e-5 * np.abs(found[True]).max())


def interpolated(values, factor, size):
    """Half-pixel bilinear interpolation with repeated borders, by numpy."""
    for axis, side in enumerate(size, 1):
        centres = np.clip((np.arange(side) + 0.5) / factor - 0.5, 0, values.shape[axis] - 1)
        low = np.floor(centres).astype(int)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        part = (centres - low).reshape([-1 if i == axis else 1 for i in range(4)])
        values = values.take(low, axis) * (1 - part) + values.take(high, axis) * part
    return values


@pytest.mark.parametrize(('factor', 'size'), [(2, (10, 7)), (2, (9, 8)), (8, (33, 27)), (32, (130, 97))])
@pytest.mark.parametrize('scope', [None, 'learnt'])
def test_upsampling_starts_bilinear(factor, size, scope):
    small = [math.ceil(side / factor) for side in size]
    values = np.random.RandomState(0).normal(size=(2, *small, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        varied = bilinear_upsampling(tf.constant(values), factor, size, scope)
        with tf.variable_scope(tf.get_variable_scope(), reuse=tf.AUTO_REUSE):
            constant = bilinear_upsampling(tf.ones_like(values), factor, size, scope)
        session.run(tf.global_variables_initializer())
        varied, constant = session.run([varied, constant])
    np.testing.assert_array_equal(constant, np.ones([2, *size, 3], np.float32))
    np.testing.assert_allclose(varied, interpolated(values, factor, size), rtol=0, atol=1e-5)


def fc6_rates(net, **options):
    """Dilations of the first convolutions behind the backbone."""
    with tf.Graph().as_default() as graph:
        build(net, tf.zeros([1, 65, 65, 3]), **options)
        found = [op for op in graph.get_operations() if op.type == 'Conv2D' and '/fc6' in op.name]
        return [op.get_attr('dilations')[1] for op in found]


@pytest.mark.parametrize(('net', 'options', 'rates'), [
    ('deeplabv1', {}, [12]), ('deeplabv1', {'output_stride': 16}, [6]), ('deeplabv1', {'fc6_rate': 4}, [4]),
    ('deeplabv2', {}, [6, 12, 18, 24]), ('deeplabv2', {'atrous_rates': (2, 4, 8, 12)}, [2, 4, 8, 12]),
    ('deeplabv2', {'output_stride': 16}, [3, 6, 9, 12])])
def test_rates_are_the_papers_at_stride_8_and_follow_the_output_stride(net, options, rates):
    assert fc6_rates(net, **options) == rates


def test_multi_scale_prediction_adds_its_branches_and_changes_no_other_variable():
    found = []
    for options in ({}, {'multi_scale': False}, MULTI_SCALE):
        with tf.Graph().as_default():
            build('deeplabv1', tf.zeros([1, 33, 33, 3]), **options)
            found.append({v.op.name: v.shape.as_list() for v in tf.global_variables()})
    plain, off, on = found
    assert plain == off and plain.items() < on.items()
    assert set(on) - set(off) == {
        f'{layer}/{name}' for branch in BRANCHES for name in ('weights', 'biases')
        for layer in (f'multi_scale/{branch}/conv1', f'multi_scale/{branch}/conv2', f'logits/{branch}')}


@pytest.mark.parametrize('options', [{}, {'fc6_kernel_size': 4, 'fc6_rate': 4, 'fc_channels': 4096}])
def test_multi_scale_prediction_has_128_filters_of_3x3_and_as_many_of_1x1(options):
    counts = []
    for added in ({}, MULTI_SCALE):
        with tf.Graph().as_default():
            build_full('deeplabv1', **options, **added)
            counts.append(sum(int(np.prod(v.shape)) for v in tf.trainable_variables()))
    convolutions = sum((3 * 3 * channels + 1) * 128 + (128 + 1) * 128 for channels in BRANCHES.values())
    # The paper's classifier takes 640 more channels, the released net's scores are added up, so that each has biases.
    assert counts[1] - counts[0] == convolutions + 640 * 21 + len(BRANCHES) * 21


@pytest.mark.parametrize('output_stride', [8, 16, 32])
@pytest.mark.parametrize('size', [(37, 50), (65, 49), (64, 48)])
def test_multi_scale_prediction_has_the_output_stride_in_training_and_the_images_size_after_it(output_stride, size):
    for training, stride in ((True, output_stride), (False, 1)):
        with tf.Graph().as_default():
            logits = build('deeplabv1', tf.zeros([1, *size, 3]), training, output_stride=output_stride, **MULTI_SCALE)
            assert logits.shape.as_list() == [1, *(math.ceil(side / stride) for side in size), NUM_CLASSES]


@pytest.mark.parametrize('shape', [[None, None, None, 3], [1, 65, 49, 3]])
@pytest.mark.parametrize('output_stride', [8, 16])
def test_what_multi_scale_prediction_trains_on_is_every_eighth_of_what_it_predicts(output_stride, shape):
    """Windows of a strided convolution are centred on the pixels that its scores stand for."""
    image, found = fill.images(65, 49).astype(np.float32), {}
    for training in (True, False):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.placeholder(tf.float32, shape)
            logits = build('deeplabv1', images, training, output_stride=output_stride, dropout_rate=0.0, **MULTI_SCALE)
            fill.fill(session, 'B')
            found[training] = session.run(logits, {images: image})
    assert found[True].shape == (1, 64 // output_stride + 1, 48 // output_stride + 1, NUM_CLASSES)
    np.testing.assert_allclose(found[False][:, ::output_stride, ::output_stride], found[True], rtol=0,
                               atol=1e-5 * np.abs(found[True]).max())


def images_branch(image, training):
    """Its scores alone."""
    with tf.Graph().as_default(), tf.Session() as session:
        logits = build('deeplabv1', tf.constant(image), training, dropout_rate=0.0, **MULTI_SCALE)
        fill.fill(session, 'B')
        session.run([v.assign(tf.zeros_like(v)) for v in tf.global_variables()
                     if v.op.name.startswith('logits/') and '/image/' not in v.op.name])
        return session.run(logits)


def test_the_images_branch_is_centred_so_on_even_sides_too():
    image = fill.images(64, 48).astype(np.float32)
    trained, predicted = (images_branch(image, training) for training in (True, False))
    np.testing.assert_allclose(predicted[:, ::8, ::8], trained, rtol=0, atol=1e-5 * np.abs(trained).max())


def test_the_images_branch_sees_normalised_pixels():
    """Of the mean colour they are 0, as the padding is, so that borders are like the rest."""
    found = images_branch(np.full([1, 9, 9, 3], BACKBONES['vgg_16'].pixels.mean, np.float32), training=False)
    np.testing.assert_allclose(found, np.broadcast_to(found[:, :1, :1], found.shape), rtol=0, atol=1e-6)
    assert np.any(found)


@pytest.mark.parametrize('branch', BRANCHES)
def test_each_branch_of_multi_scale_prediction_counts(branch):
    image = fill.images(33, 41).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        logits = build('deeplabv1', tf.constant(image), **MULTI_SCALE)
        fill.fill(session, 'B')
        before = session.run(logits)
        for v in tf.global_variables():
            if v.op.name.startswith(f'logits/{branch}/'):
                session.run(v.assign(tf.zeros_like(v)))
        assert np.abs(session.run(logits) - before).max() > 1e-3 * np.abs(before).max()


def test_multi_scale_prediction_needs_vgg():
    message = r'multi_scale reads features at strides \[2, 4, 8, 16\].*resnet_v1_18 has no tap at \[2\], only at \[4, 8'
    with tf.Graph().as_default(), model_scope(training=False), pytest.raises(ValueError, match=message):
        NETS['deeplabv1'](tf.zeros([1, 33, 33, 3]), 5, BACKBONES['resnet_v1_18'], training=False, output_stride=8,
                          multi_scale=True)


def multi_scale_rows():
    found = {name: row for name, row in recipes.table().items() if row.model.options.get('multi_scale')}
    assert len(found) >= 4
    return [pytest.param(row, id=name) for name, row in found.items()]


@pytest.mark.parametrize('row', multi_scale_rows())
def test_rows_of_multi_scale_prediction_train_its_branches_and_the_classifier_alone(row):
    """Section 4.3: "We only adjust the newly added weights"; the released train.prototxt trains fc8 with them."""
    factors = optimizer.gradient_multipliers(model_variables(run.resolve(row)), row.optimizer)
    trained = {variable: factor for variable, factor in factors.items() if factor}
    assert len(trained) == 2 * (3 * len(BRANCHES) + 1)
    assert {variable.split('/')[0] for variable in trained} == {'multi_scale', 'logits'}
    assert all(factor == (2.0 if 'biases' in variable else 1.0) for variable, factor in trained.items())


def test_deeplabv2_with_one_rate_is_deeplabv1():
    found = []
    for net, options in (('deeplabv1', {}), ('deeplabv2', {'atrous_rates': (12,)})):
        with tf.Graph().as_default(), tf.Session() as session:
            logits = build(net, tf.constant(fill.images(33, 41), tf.float32), **options)
            fill.fill(session, 'B')
            found.append((names(), session.run(logits)))
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])


def test_deeplabv2_on_a_resnet_is_four_classifiers():
    with tf.Graph().as_default() as graph, model_scope(training=False):
        NETS['deeplabv2'](tf.zeros([1, 65, 65, 3]), 21, BACKBONES['resnet_v1_18'], training=False, output_stride=8)
        classifiers = {v.op.name: v.shape.as_list() for v in tf.trainable_variables() if 'resnet' not in v.op.name}
        rates = [op.get_attr('dilations')[1] for op in graph.get_operations()
                 if op.type == 'Conv2D' and op.name.startswith('logits')]
    assert rates == [6, 12, 18, 24] and len(classifiers) == 8
    assert classifiers['logits/semantic/weights'] == classifiers['logits/semantic_3/weights'] == [3, 3, 512, 21]


@pytest.mark.parametrize(('net', 'options', 'message'), [
    ('deeplabv1', {'output_stride': 32, 'fc6_rate': 2}, 'rate 2 belongs to output stride 8 .* output stride 32: 0.5'),
    ('deeplabv2', {'output_stride': 32}, 'rate 6 belongs to output stride 8 .* output stride 32: 1.5'),
    ('deeplabv2', {'atrous_rates': ()}, 'atrous_rates is empty; DeepLab-v2 has one branch for each rate'),
])
def test_options_that_make_no_sense_are_refused(net, options, message):
    with tf.Graph().as_default(), pytest.raises(ValueError, match=message):
        build(net, tf.zeros([1, 33, 33, 3]), **options)


def test_segnets_encoder_takes_the_kernels_of_slims_vgg_16():
    kernels = []
    for net in ('segnet', 'fcn32s'):
        with tf.Graph().as_default():
            build_full(net)
            kernels.append({v.op.name: v.shape.as_list() for v in tf.trainable_variables()
                            if v.op.name.startswith('vgg_16/conv') and v.op.name.endswith('/weights')})
    assert kernels[0] == kernels[1] and len(kernels[0]) == 13


def test_segnet_unpools_all_five_stages():
    with tf.Graph().as_default() as graph:
        build('segnet', tf.zeros([1, 64, 64, 3]))
        types = [op.type for op in graph.get_operations()]
        assert types.count('MaxPoolWithArgmax') == types.count('ScatterNd') == 5
        decoder = [v.shape.as_list()[-1] * 8 for v in tf.trainable_variables()
                   if v.op.name.startswith('decoder/') and v.op.name.endswith('/weights')]
    assert decoder == [512] * 5 + [256] * 3 + [128] * 2 + [64] * 2
    # 13 convolutions in all, mirrored: conv5 512 512 512, conv4 512 512 256, conv3 256 256 128, conv2 128 64, conv1 64


def test_unet_is_figure_1():
    with tf.Graph().as_default():
        build_full('unet', num_classes=2)
        channels = {v.op.name.removesuffix('/weights'): v.shape.as_list() for v in tf.trainable_variables()
                    if v.op.name.endswith('/weights')}
    assert [channels[f'contracting{i}/conv2'][-1] for i in (1, 2, 3, 4, 5)] == [64, 128, 256, 512, 1024]
    assert [channels[f'expanding{i}/conv1'] for i in (4, 3, 2, 1)] == [
        [3, 3, 1024, 512], [3, 3, 512, 256], [3, 3, 256, 128], [3, 3, 128, 64]]
    assert channels['expanding4/up'] == [2, 2, 512, 1024] and channels['logits'] == [1, 1, 64, 2]
    with tf.Graph().as_default():
        build('unet', tf.zeros([1, 33, 33, 3]), batch_normalisation=True)
        assert len([name for name in names() if name.endswith('/gamma')]) == 2 * 9 + 4


ROWS = {name: row for name, row in recipes.table().items() if row.model.net in THIN_NETS and row.expected.params}


@pytest.mark.slow
@pytest.mark.parametrize('name', ROWS)
def test_rows_expect_the_parameters_that_their_net_has(name):
    assert len(ROWS) >= 10 and {row.model.net for row in ROWS.values()} == set(THIN_NETS)
    shapes = model_variables(run.resolve(ROWS[name])).values()
    assert sum(int(np.prod(shape)) for shape in shapes) == ROWS[name].expected.params

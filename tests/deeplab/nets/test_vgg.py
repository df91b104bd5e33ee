"""The nets of VGG16's family: sizes, names, sense, and the figures of their papers."""

import math

import numpy as np
import pytest

from deeplab import run
from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.nets.parts.upsampling import bilinear_upsampling
from deeplab.recipes import recipe as recipes
from deeplab.training.estimators import model_variables
from tests.deeplab import fill
from tests.deeplab.nets.vgg_family import MULTI_SCALE, NUM_CLASSES, THIN_NETS, build, build_full, names, thin_nets


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

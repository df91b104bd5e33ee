"""Multi-scale prediction of DeepLab-v1 (MSc; Chen et al., 2015, arXiv:1412.7062, section 4.3)."""

import math

import numpy as np
import pytest

from deeplab import optimizer, run
from deeplab.backbones import BACKBONES
from deeplab.compat import tf
from deeplab.layers.scope import model_scope
from deeplab.nets import NETS
from deeplab.recipes import recipe as recipes
from deeplab.training.estimators import model_variables
from tests.deeplab import fill
from tests.deeplab.nets.vgg_family import MULTI_SCALE, NUM_CLASSES, build, build_full

BRANCHES = {'image': 3, 'pool1': 64, 'pool2': 128, 'pool3': 256, 'pool4': 512}  # their channels


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

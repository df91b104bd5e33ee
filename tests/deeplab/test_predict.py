"""The prediction path: padding, cutting back, scales and mirroring, on a net whose output is known."""

import dataclasses

import numpy as np
import pytest

from deeplab import predict, recipe, run
from deeplab.compat import tf
from deeplab.layers.resize import resize_bilinear
from deeplab.nets import Outputs
from deeplab.schema import Recipe


def lopsided(images, num_classes, backbone, *, training, output_stride, backbone_options=None):
    """Logits of two classes at full resolution that depend on the pixel and, unevenly, on its right neighbour."""
    assert not training
    grey = tf.reduce_mean(images, axis=3, keepdims=True) / 64
    right = tf.pad(grey, [[0, 0], [0, 0], [0, 1], [0, 0]])[:, :, 1:]
    return Outputs(tf.concat([grey, right], axis=3), {})


def chosen(**evaluation):
    changed = recipe.override(Recipe(), {f'evaluation.{name}': value for name, value in evaluation.items()})
    return dataclasses.replace(run.resolve(changed), net=lopsided)


def probabilities(chosen_run, images):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(predict.predict(chosen_run, tf.constant(images)).probabilities)


def images(*shape):
    return np.random.RandomState(0).uniform(0, 255, shape).astype(np.float32)


@pytest.mark.parametrize(('size', 'pad_to', 'stride', 'expected'), [
    ((1, 1), (), 16, (1, 1)), ((2, 17), (), 16, (17, 17)), ((375, 500), (), 16, (385, 513)),
    ((375, 500), (513, 513), 8, (513, 513)), ((600, 500), (513, 513), 16, (609, 513)), ((513, 513), (), 8, (513, 513)),
])
def test_padded_size_is_the_smallest_aligned_one(size, pad_to, stride, expected):
    with tf.Graph().as_default(), tf.Session() as session:
        assert tuple(session.run(predict.padded_size(tf.constant(size), pad_to, stride))) == expected


def test_padding_keeps_the_image_and_fills_with_the_value():
    source = images(1, 3, 5, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        padded = session.run(predict.pad(tf.constant(source), (1.0, 2.0, 3.0), tf.constant([4, 7])))
    assert padded.shape == (1, 4, 7, 3)
    np.testing.assert_allclose(padded[:, :3, :5], source, rtol=1e-5)
    assert (padded[:, 3:] == (1, 2, 3)).all() and (padded[:, :, 5:] == (1, 2, 3)).all()


def softmax(logits):
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def expected_view(source):
    grey = source.mean(axis=3, keepdims=True) / 64
    right = np.concatenate([grey[:, :, 1:], np.zeros_like(grey[:, :, :1])], axis=2)
    return softmax(np.concatenate([grey, right], axis=3))


def test_one_scale_is_the_softmax_of_the_net():
    source = images(1, 17, 33, 3)  # needs no padding
    np.testing.assert_allclose(probabilities(chosen(), source), expected_view(source), atol=1e-6)


def test_the_prediction_has_the_image_s_size():
    source = images(2, 20, 41, 3)
    assert probabilities(chosen(pad_to=(65, 65)), source).shape == (2, 20, 41, 2)


def test_flip_averages_the_probabilities_of_the_mirrored_image():
    source = images(1, 17, 33, 3)
    mirrored = expected_view(source[:, :, ::-1])[:, :, ::-1]
    np.testing.assert_allclose(probabilities(chosen(flip=True), source), (expected_view(source) + mirrored) / 2,
                               atol=1e-6)
    assert np.abs(mirrored - expected_view(source)).max() > 0.1


def test_scales_average_the_probabilities_of_each():
    source = images(1, 33, 33, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        half = session.run(resize_bilinear(tf.constant(source), (17, 17)))
        grey = half.mean(axis=3, keepdims=True) / 64
        right = np.concatenate([grey[:, :, 1:], np.zeros_like(grey[:, :, :1])], axis=2)
        logits = session.run(resize_bilinear(tf.constant(np.concatenate([grey, right], axis=3)), (33, 33)))
    expected = (expected_view(source) + softmax(logits)) / 2
    np.testing.assert_allclose(probabilities(chosen(scales=(1.0, 0.5)), source), expected, atol=1e-5)

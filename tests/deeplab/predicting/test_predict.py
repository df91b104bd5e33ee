"""The prediction path: padding, cutting back, scales and mirroring, on a net whose output is known."""

import dataclasses

import numpy as np
import pytest

from deeplab import run
from deeplab.compat import tf
from deeplab.layers.resize import resize_bilinear, resize_nearest
from deeplab.nets import Net, Outputs
from deeplab.predicting import crf, predict
from deeplab.predicting.forward import forward_pass
from deeplab.recipes import recipe
from deeplab.recipes.protocol import CRFS
from deeplab.recipes.schema import Recipe


def lopsided(images, num_classes, backbone, *, training, output_stride):
    """Logits of two classes at full resolution that depend on the pixel and, unevenly, on its right neighbour."""
    assert not training
    grey = tf.reduce_mean(images, axis=3, keepdims=True) / 64
    right = tf.pad(grey, [[0, 0], [0, 0], [0, 1], [0, 0]])[:, :, 1:]
    return Outputs(tf.concat([grey, right], axis=3), {})


def chosen(**evaluation):
    changed = recipe.override(Recipe(), {f'evaluation.{name}': value for name, value in evaluation.items()})
    return dataclasses.replace(run.resolve(changed), net=Net(lopsided))


def predicted(chosen_run, images):
    return predict.predict(forward_pass(chosen_run), images, chosen_run.recipe.evaluation)


def probabilities(chosen_run, images):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(predicted(chosen_run, tf.constant(images)).probabilities)


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


def test_a_resized_image_is_predicted_there_and_brought_back():
    source, truth = images(1, 20, 41, 3), np.random.RandomState(1).choice([0, 7, 255], (1, 20, 41)).astype(np.int32)
    with tf.Graph().as_default(), tf.Session() as session:
        options = {'min_resize': 33, 'max_resize': 65, 'resize_factor': 16}
        a_run = chosen(**options)
        resized = predict.to_range(tf.constant(source), a_run.recipe.evaluation)
        small, labels, found = session.run([
            predict.predict_as_is(forward_pass(a_run), resized, a_run.recipe.evaluation),
            predict.labels_to_range(tf.constant(truth), a_run.recipe.evaluation),
            predicted(a_run, tf.constant(source))])
        assert small.classes.shape == (1, 33, 65)
        wanted = resize_bilinear(tf.constant(source), (33, 65)), resize_nearest(tf.constant(truth[..., None]), (33, 65))
        pixels, ids, seen = session.run([*wanted, resized])
        np.testing.assert_array_equal(seen, pixels)
        np.testing.assert_array_equal(labels, ids[..., 0])
        np.testing.assert_allclose(
            found.probabilities, session.run(resize_bilinear(tf.constant(small.probabilities), (20, 41))), atol=1e-6)
        compat = session.run(predicted(chosen(**options, official_compat=True), tf.constant(source)))
        nearest = session.run(resize_nearest(tf.constant(small.classes[..., np.newaxis]), (20, 41)))[..., 0]
    np.testing.assert_array_equal(found.classes, found.probabilities.argmax(-1))
    np.testing.assert_allclose(compat.probabilities, found.probabilities, atol=1e-6)
    np.testing.assert_array_equal(compat.classes, nearest)
    assert (compat.classes != found.classes).any()


@pytest.mark.parametrize('views', [{}, {'flip': True}])
def test_without_upsampled_logits_a_single_view_has_its_classes_enlarged(views):
    def coarse(*arguments, **options):
        return Outputs(lopsided(*arguments, **options).logits[:, ::4, ::4], {})

    source = images(1, 30, 41, 3)
    found, usual = [], []
    with tf.Graph().as_default(), tf.Session() as session:
        for upsample, into in ((False, found), (True, usual)):
            a_run = dataclasses.replace(chosen(**views, upsample_logits=upsample), net=Net(coarse))
            into.extend(session.run(predicted(a_run, tf.constant(source))))
        padded = np.pad(source, [(0, 0), (0, 3), (0, 8), (0, 0)])
        padded[:, 30:], padded[:, :, 41:] = a_run.backbone.pad_value, a_run.backbone.pad_value
        logits = session.run(coarse(tf.constant(padded), 2, None, training=False, output_stride=16).logits)
        classes = session.run(resize_nearest(tf.constant(logits.argmax(-1)[..., np.newaxis]), (33, 49)))
        shares = session.run(resize_bilinear(tf.constant(softmax(logits)), (33, 49)))
        enlarged = session.run(resize_bilinear(tf.constant(logits), (33, 49)))
    assert (found[0] != usual[0]).any() == (not views)
    if not views:
        np.testing.assert_array_equal(found[0], classes[:, :30, :41, 0])
        np.testing.assert_allclose(found[1], shares[:, :30, :41], atol=1e-5)
        np.testing.assert_allclose(usual[1], softmax(enlarged)[:, :30, :41], atol=1e-5)


@pytest.mark.parametrize('options', [{}, {'flip': True}, {'min_resize': 33, 'max_resize': 65, 'resize_factor': 16}])
def test_the_crf_comes_last_and_sees_the_image_at_its_size(options, monkeypatch):
    def swapped(pixels, before, parameters):
        assert parameters == CRFS['deeplabv2_vgg16']
        return before[..., ::-1] * pixels[..., :1]

    monkeypatch.setattr(crf, 'refine', swapped)
    source = images(1, 20, 41, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(predicted(chosen(**options, crf='deeplabv2_vgg16'), tf.constant(source)))
    np.testing.assert_allclose(found.probabilities, swapped(source, probabilities(chosen(**options), source),
                                                            CRFS['deeplabv2_vgg16']), rtol=1e-5)
    np.testing.assert_array_equal(found.classes, found.probabilities.argmax(-1))


def test_official_compat_does_not_mirror_a_single_scale():
    source = images(1, 17, 33, 3)
    np.testing.assert_allclose(probabilities(chosen(flip=True, official_compat=True), source), expected_view(source),
                               atol=1e-6)


def test_official_compat_softens_the_mean_of_several_views():
    source = images(1, 17, 33, 3)
    views = {'scales': (2.0,), 'flip': True}
    np.testing.assert_allclose(probabilities(chosen(**views, official_compat=True), source),
                               softmax(probabilities(chosen(**views), source)), atol=1e-6)


def seen_size(source, *, multiple=0, **evaluation):
    """(height, width) that the net gets."""
    seen = []

    def look(images, *arguments, **options):
        seen.append(tf.shape(images))
        return lopsided(images, *arguments, **options)

    a_run = dataclasses.replace(chosen(**evaluation), net=Net(look, multiple=multiple))
    with tf.Graph().as_default(), tf.Session() as session:
        prediction = predicted(a_run, tf.placeholder_with_default(source, [None, None, None, 3]))
        return tuple(session.run([seen[0], prediction])[0][1:3])


@pytest.mark.parametrize(('compat', 'pad_to', 'expected'), [
    (False, (), (33, 49)), (False, (40, 50), (49, 65)), (True, (), (20, 41)), (True, (40, 50), (40, 50))])
def test_official_compat_pads_to_exactly_the_size(compat, pad_to, expected):
    assert seen_size(images(1, 20, 41, 3), pad_to=pad_to, official_compat=compat) == expected


def test_a_net_may_ask_for_multiples():
    assert seen_size(images(1, 20, 41, 3), multiple=8) == (24, 48)
    assert seen_size(images(1, 24, 48, 3), multiple=8) == (24, 48)
    assert seen_size(images(1, 20, 41, 3), multiple=8, pad_to=(25, 30)) == (32, 48)


def test_official_compat_refuses_larger_images():
    with pytest.raises(tf.errors.InvalidArgumentError, match='an image is larger than pad_to'):
        seen_size(images(1, 20, 41, 3), pad_to=(40, 40), official_compat=True)

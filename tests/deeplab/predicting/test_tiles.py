"""Sliding windows against a loop in numpy, and against the whole image."""

import dataclasses
import math

import numpy as np
import pytest

from deeplab.compat import tf
from deeplab.layers.resize import resize_bilinear
from deeplab.nets import Net
from deeplab.predicting import tiles
from tests.deeplab.predicting import test_predict
from tests.deeplab.predicting.test_predict import expected_view, images, lopsided, probabilities, softmax


def chosen(**evaluation):
    """A run of the net of two classes, on a dataset that has as many."""
    found = test_predict.chosen(**evaluation)
    return dataclasses.replace(found, dataset=dataclasses.replace(found.dataset, class_names=('this', 'right')))


def expected_starts(length, tile, overlap):
    step = max(1, math.ceil(tile * (1 - overlap)))
    found = [0]
    while found[-1] + tile < length:
        found.append(min(found[-1] + step, length - tile))
    return found


def placed(length, tile, overlap):
    return [(top, left) for top in expected_starts(length[0], tile[0], overlap)
            for left in expected_starts(length[1], tile[1], overlap)]


@pytest.mark.parametrize(('length', 'tile', 'overlap'), [
    (9, 9, 1 / 3), (10, 9, 1 / 3), (100, 9, 1 / 3), (101, 10, 0.0), (50, 7, 0.9), (321 * 3, 321, 1 / 3)])
def test_tiles_begin_where_a_loop_puts_them(length, tile, overlap):
    with tf.Graph().as_default(), tf.Session() as session:
        found = session.run(tiles.starts(tf.constant(length), tile, overlap)).tolist()
    assert found == expected_starts(length, tile, overlap)
    assert found[-1] + tile == length


@pytest.mark.parametrize('weighting', tiles.WEIGHTINGS)
@pytest.mark.parametrize(('height', 'width'), [(8, 11), (23, 11), (21, 40)])
def test_overlapping_scores_are_averaged_by_weight(weighting, height, width):
    """The score of a tile is its pixels less their mean: it depends on where the tile is."""
    size, overlap = (8, 11), 1 / 3
    source = images(2, height, width, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [None, None, None, 3])
        found = tiles.blend(fed, lambda tile: tile - tf.reduce_mean(tile, [1, 2], keepdims=True), 3, size=size,
                            overlap=overlap, weighting=weighting)
        found = session.run(found, {fed: source})
    sides = [np.exp(-((np.arange(n) - (n - 1) / 2) / (n / 8)) ** 2 / 2) if weighting == 'gaussian' else np.ones(n)
             for n in size]
    weights = np.outer(*sides)[:, :, np.newaxis]
    total, norm = np.zeros(source.shape), np.zeros((height, width, 1))
    for top, left in placed((height, width), size, overlap):
        tile = source[:, top:top + 8, left:left + 11]
        total[:, top:top + 8, left:left + 11] += weights * (tile - tile.mean(axis=(1, 2), keepdims=True))
        norm[top:top + 8, left:left + 11] += weights
    np.testing.assert_allclose(found, total / norm, rtol=1e-4, atol=1e-3)


def test_tiles_equal_the_whole_image_where_no_tile_ends():
    """The net sees a pixel and its right neighbour: only the last column of a tile is another than in the image."""
    source = images(1, 40, 70, 3)
    whole, tiled = (probabilities(chosen(**options), source) for options in (
        {}, {'tile_size': (17, 33), 'tile_overlap': 0.25}))
    last = {left + 33 - 1 for _, left in placed((40, 70), (17, 33), 0.25)}
    inside = [column for column in range(70) if column not in last]
    assert len(inside) == 67
    np.testing.assert_allclose(tiled[:, :, inside], whole[:, :, inside], atol=1e-6)
    assert np.abs(tiled - whole)[:, :, [32]].max() > 0.01


def test_an_image_below_a_tile_is_padded_to_it():
    source = images(1, 9, 20, 3)
    np.testing.assert_allclose(probabilities(chosen(tile_size=(17, 33)), source)[:, :, :-1],
                               expected_view(source)[:, :, :-1], atol=1e-6)


def test_tiles_of_several_scales_and_mirrored_ones_are_averaged():
    source = images(1, 40, 70, 3)
    options = {'tile_size': (17, 33), 'tile_weighting': 'gaussian'}
    separate = [probabilities(chosen(**options, scales=(scale,)), source) for scale in (0.5, 1.0)]
    np.testing.assert_allclose(probabilities(chosen(**options, scales=(0.5, 1.0)), source), sum(separate) / 2,
                               atol=1e-5)
    mirrored = probabilities(chosen(**options, flip=True), source)
    assert np.abs(mirrored - separate[1]).max() > 0.1


def test_probabilities_of_a_scale_s_tiles_are_brought_back_bilinearly():
    source = images(1, 33, 65, 3)
    with tf.Graph().as_default(), tf.Session() as session:
        half = session.run(resize_bilinear(tf.constant(source), (17, 33)))
        expected = session.run(resize_bilinear(tf.constant(expected_view(half)), (33, 65)))
    # A tile as large as the scaled image is that image.
    np.testing.assert_allclose(probabilities(chosen(scales=(0.5,), tile_size=(17, 33)), source), expected, atol=1e-5)


def test_only_images_above_the_limit_are_tiled():
    options = {'tile_size': (17, 17), 'tile_limit': 20 * 41}
    at_limit, above = images(1, 20, 41, 3), images(1, 21, 41, 3)
    np.testing.assert_array_equal(probabilities(chosen(**options), at_limit), probabilities(chosen(), at_limit))
    np.testing.assert_array_equal(probabilities(chosen(**options), above),
                                  probabilities(chosen(tile_size=(17, 17)), above))
    assert np.abs(probabilities(chosen(**options), above) - probabilities(chosen(), above)).max() > 0.01


@pytest.mark.parametrize(('scales', 'pad_to', 'expected'), [
    ((1.0,), (), {(33, 49)}), ((1.0,), (65, 65), {(33, 49)}), ((0.5, 1.0), (), {(33, 49)})])
def test_the_net_sees_aligned_tiles_at_every_scale(scales, pad_to, expected):
    seen = set()

    def look(pixels, *arguments, **options):
        size = tf.numpy_function(lambda shape: seen.add(tuple(shape[1:3].tolist())), [tf.shape(pixels)], [])
        with tf.control_dependencies([size]):
            return lopsided(tf.identity(pixels), *arguments, **options)

    a_run = dataclasses.replace(chosen(tile_size=(20, 40), scales=scales, pad_to=pad_to), net=Net(look))
    assert probabilities(a_run, images(1, 20, 41, 3)).shape == (1, 20, 41, 2)
    assert seen == expected


def test_max_fusion_is_the_softmax_of_the_largest_logits():
    source = images(1, 17, 33, 3)
    grey = source.mean(axis=3, keepdims=True) / 64
    logits = [np.concatenate([g, np.concatenate([g[:, :, 1:], np.zeros_like(g[:, :, :1])], axis=2)], axis=3)
              for g in (grey, grey[:, :, ::-1])]
    expected = softmax(np.maximum(logits[0], logits[1][:, :, ::-1]))
    np.testing.assert_allclose(probabilities(chosen(flip=True, fusion='max'), source), expected, atol=1e-5)
    np.testing.assert_allclose(probabilities(chosen(fusion='max'), source), expected_view(source), atol=1e-6)
    # A tile that is as large as the image is the image.
    np.testing.assert_allclose(probabilities(chosen(flip=True, fusion='max', tile_size=(17, 33)), source), expected,
                               atol=1e-5)


def test_the_mirror_of_a_symmetric_image_changes_nothing_for_a_symmetric_net():
    def symmetric(pixels, *arguments, **options):
        found = lopsided(pixels, *arguments, **options)
        own = found.logits[..., :1]
        right = tf.pad(own, [[0, 0], [0, 0], [0, 1], [0, 0]])[:, :, 1:]
        left = tf.pad(own, [[0, 0], [0, 0], [1, 0], [0, 0]])[:, :, :-1]
        return found._replace(logits=tf.concat([own, left + right], 3))

    half = images(1, 17, 17, 3)
    source = np.concatenate([half, half[:, :, -2::-1]], axis=2)
    plain, flipped = (probabilities(dataclasses.replace(chosen(flip=flip), net=Net(symmetric)), source)
                      for flip in (False, True))
    np.testing.assert_allclose(flipped, plain, atol=1e-6)
    np.testing.assert_allclose(plain, plain[:, :, ::-1], atol=1e-6)


def test_one_scale_of_1_is_no_scale_at_all():
    source = images(1, 17, 33, 3)
    np.testing.assert_array_equal(probabilities(chosen(scales=(1.0,)), source), probabilities(chosen(), source))

"""Aspect, rotation, blur and colour, against numpy."""

import numpy as np
import pytest
import tensorflow as tf

from datasets.input import augment, distort
from datasets.input.augment import Augmentation
from tests.datasets import drawn

RANDOM = np.random.RandomState(0)
IMAGE = RANDOM.uniform(0, 255, (9, 13, 3)).astype(np.float32)
LABEL = RANDOM.randint(0, 5, (9, 13)).astype(np.int32)
PAD = (10.0, 20.0, 30.0)


@pytest.mark.parametrize('degrees', [10, -7, 90, 0])
def test_rotation_equals_interpolation_about_the_centre(degrees):
    chance = np.float32(1.0 if degrees > 0 else 0.0)
    image, label = drawn.evaluate(lambda: distort.rotate(
        tf.constant(IMAGE), tf.constant(LABEL), abs(degrees), tf.constant(chance), PAD, 255))
    angle = np.radians(degrees)
    height, width = LABEL.shape
    inside = 0
    for y, x in np.ndindex(height, width):
        dx, dy = x - (width - 1) / 2, y - (height - 1) / 2
        from_x = np.cos(angle) * dx - np.sin(angle) * dy + (width - 1) / 2
        from_y = np.sin(angle) * dx + np.cos(angle) * dy + (height - 1) / 2
        expected = np.zeros(3)
        for row in (int(np.floor(from_y)), int(np.floor(from_y)) + 1):
            for column in (int(np.floor(from_x)), int(np.floor(from_x)) + 1):
                known = 0 <= row < height and 0 <= column < width
                weight = (1 - abs(from_y - row)) * (1 - abs(from_x - column))
                expected += weight * (IMAGE[row, column] if known else np.array(PAD))
        np.testing.assert_allclose(image[y, x], expected, atol=0.02)
        if min(abs(from_x % 1 - 0.5), abs(from_y % 1 - 0.5)) < 1e-3:
            continue  # between two pixels
        row, column = round(from_y), round(from_x)
        known = 0 <= row < height and 0 <= column < width
        inside += known
        assert label[y, x] == (LABEL[row, column] if known else 255)
    assert inside > 40


@pytest.mark.parametrize('sigma', [0.0, 0.7, 2.0])
def test_blur_equals_the_weighted_mean_of_neighbours(sigma):
    found = drawn.evaluate(lambda: distort.blur(tf.constant(IMAGE), 2.0, tf.constant(np.float32(sigma / 2))))
    weights = np.exp(-np.arange(-6, 7) ** 2 / (2 * max(sigma, 1e-3) ** 2))
    weights /= weights.sum()
    padded = np.pad(IMAGE.astype(np.float64), [(6, 6), (6, 6), (0, 0)], mode='edge')
    rows = sum(weight * padded[i:i + 9] for i, weight in enumerate(weights))
    expected = sum(weight * rows[:, i:i + 13] for i, weight in enumerate(weights))
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_colours_move_by_their_shares_and_stay_in_range():
    def recolored(*options, chances=(1.0, 1.0, 1.0)):
        return drawn.evaluate(lambda: distort.recolor(tf.constant(IMAGE), *options, tf.constant(chances)))
    np.testing.assert_allclose(recolored(0.1, 0.0, 0.0), np.clip(IMAGE + 25.5, 0, 255), atol=1e-3)
    mean, grey = IMAGE.mean(), IMAGE.mean(2, keepdims=True)
    halved = recolored(0.0, 0.5, 0.0, chances=(0.5, 0.0, 0.5))
    np.testing.assert_allclose(halved, mean + (IMAGE - mean) * 0.5, atol=1e-2)
    np.testing.assert_allclose(recolored(0.0, 0.0, 1.0, chances=(0.5, 0.5, 0.0)), np.repeat(grey, 3, 2), atol=1e-3)
    assert recolored(1.0, 0.0, 0.0).max() == 255


def test_scales_stay_in_range_and_within_the_aspect():
    chances = RANDOM.uniform(size=(300, distort.TRIES, 2)).astype(np.float32)
    found = np.array(drawn.evaluate(lambda: [distort.scales(0.7, 1.5, 0.15, tf.constant(each)) for each in chances]))
    assert found.min() >= 0.7 and found.max() <= 1.5
    assert (found.max(1) / found.min(1) <= 1.15 + 1e-5).all() and np.std(found[:, 0] / found[:, 1]) > 0.04
    none = np.stack([np.zeros(distort.TRIES), np.ones(distort.TRIES)], 1).astype(np.float32)
    assert drawn.evaluate(lambda: distort.scales(0.7, 1.5, 0.15, tf.constant(none))).tolist() == [np.float32(0.7)] * 2


def test_all_of_it_depends_on_seed_and_number_alone_and_leaves_the_plain_draws_alone():
    chosen = Augmentation((16, 20), 0.7, 1.5, max_aspect_change=0.15, rotation=10, blur=1.0, brightness=0.1,
                          contrast=0.1, saturation=0.1, pad_center=True, pad_value=PAD)

    def examples(*numbers):
        return drawn.evaluate(lambda: [augment.augment(tf.constant(IMAGE), tf.constant(LABEL), chosen, 255, 3,
                                                       tf.constant(number, tf.int64)) for number in numbers])
    first, second, again = examples(5, 6, 5)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], second[0])
    assert set(np.unique(first[1])) <= {0, 1, 2, 3, 4, 255}


def distorted(**options):
    """What `augment` makes of a picture without extremes under ten numbers, whose labels stay; and the picture."""
    picture = 100 + IMAGE / 5
    chosen = Augmentation(LABEL.shape, flip=False, **options)
    found = drawn.evaluate(lambda: [augment.augment(tf.constant(picture), tf.constant(LABEL), chosen, 255, 3,
                                                    tf.constant(number, tf.int64)) for number in range(10)])
    assert all(np.array_equal(ids, LABEL) for _, ids in found)
    return [image for image, _ in found], picture


def test_blur_that_is_asked_for_is_done():
    images, picture = distorted(blur=2.0)
    rough = [np.abs(np.diff(image, axis=1)).mean() / np.abs(np.diff(picture, axis=1)).mean() for image in images]
    # By a sigma of its own each: not at all to a fifth.
    assert max(rough) < 1.001 and max(rough) > 0.8 and min(rough) < 0.2


def test_rotation_that_is_asked_for_is_done():
    chosen = Augmentation(LABEL.shape, flip=False, rotation=60)
    found = drawn.evaluate(lambda: [augment.augment(tf.constant(IMAGE), tf.constant(LABEL), chosen, 255, 3,
                                                    tf.constant(number, tf.int64))[1] for number in range(6)])
    ignored = [np.count_nonzero(ids == 255) for ids in found]
    # By an angle of its own each, about the centre.
    assert len(set(ignored)) > 3 and max(ignored) > 20 and all(ids[4, 6] == LABEL[4, 6] for ids in found)


@pytest.mark.parametrize('kind', ['brightness', 'contrast', 'saturation'])
def test_colours_move_as_asked_and_not_otherwise(kind):
    images, picture = distorted(**{kind: 0.2})
    amounts = []
    for image in images:
        if kind == 'brightness':
            every = (image - picture) / 255
        else:
            centre = picture.mean() if kind == 'contrast' else picture.mean(2, keepdims=True)
            every = ((image - centre) / (picture - centre))[abs(picture - centre) > 5] - 1
        assert np.ptp(every) < 1e-3  # one amount for the whole picture
        amounts.append(every.mean())
    assert -0.2 < min(amounts) < -0.05 and 0.05 < max(amounts) < 0.2


def test_padding_in_the_centre():
    chosen = Augmentation((12, 16), flip=False, pad_center=True, pad_value=PAD)
    image, label = drawn.evaluate(lambda: augment.pad(tf.constant(IMAGE), tf.constant(LABEL), chosen, 255))
    np.testing.assert_array_equal(label[1:10, 1:14], LABEL)
    assert (label == 255).sum() == 12 * 16 - LABEL.size
    np.testing.assert_allclose(image[1:10, 1:14], IMAGE, atol=1e-4)
    np.testing.assert_allclose(image[0, 0], PAD)


@pytest.mark.parametrize('options, message', [
    ({'rotation': -1}, 'rotation is -1'), ({'max_aspect_change': 0.1, 'scale_step': 0.25}, 'draws scales uniformly')])
def test_impossible_distortions_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Augmentation((8, 8), **options)

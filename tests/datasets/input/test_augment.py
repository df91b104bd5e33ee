import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from datasets.input import augment
from datasets.input.augment import Augmentation
from tests.datasets import drawn
from tests.paths import ROOT

PLAIN = Augmentation(crop_size=(8, 10), flip=False)
ORACLE = ROOT / 'tests' / 'oracle'
MEAN_PIXEL = (123.15, 115.90, 103.06)


def oracle():
    facts = json.loads((ORACLE / 'preprocess.json').read_text())
    return facts, np.load(ORACLE / 'preprocess.npz')


def official_input(arrays):
    return tf.constant(arrays['in_image'], tf.float32), tf.constant(arrays['in_label'][..., 0], tf.int32)


def augmented(image, label, augmentation, numbers, ignore_label=255, seed=0, as_they_are=False):
    """What `augment` makes of one example, in 32 bits or as it is, under several numbers."""
    types = (None, None) if as_they_are else (tf.float32, tf.int32)

    def one(number):
        return augment.augment(tf.constant(image, types[0]), tf.constant(label, types[1]), augmentation, ignore_label,
                               seed, number)
    return drawn.batches(lambda: tf.data.Dataset.from_tensor_slices(np.asarray(numbers, np.int64)).map(one))


def gradient(height, width):
    """A picture whose every pixel is different, and a label that repeats its first channel."""
    label = np.arange(height * width).reshape(height, width)
    return np.stack([label, label + 0.25, label + 0.5], axis=-1), label


def test_resize_to_range_in_the_officials_worked_cases():
    facts, _ = oracle()
    cases = [case for case in facts['resize_to_range [h,w,min,max,factor,keep_aspect,out_h,out_w]'] if case[5]]
    assert len(cases) >= 40

    def sizes():
        return [augment.resized_to_range(tf.constant(case[:2]), case[2], case[3] or 0, case[4] or 0) for case in cases]
    for case, size in zip(cases, drawn.evaluate(sizes), strict=True):
        assert size.tolist() == case[6:], case


def test_scaled_pictures_equal_the_officials():
    facts, arrays = oracle()
    shapes = facts['randomly_scale output shape']
    assert len(shapes) >= 5
    for name, shape in shapes.items():
        image, label = drawn.evaluate(lambda name=name: augment.resize(
            *official_input(arrays), augment.scaled(tf.constant([41, 57]), tf.constant(float(name)))))
        assert list(image.shape) == shape and image.shape[:2] == label.shape
        if f'scale{name}__image' in arrays:
            np.testing.assert_array_equal(image, arrays[f'scale{name}__image'])
            np.testing.assert_array_equal(label, arrays[f'scale{name}__label'][..., 0])


CASES = ('pad_ignore0', 'pad_mnv2', 'pad_none', 'pad_resnet18', 'pad_resnet50', 'pad_resnet50_beta', 'resize_30_40_f8',
         'resize_33_65', 'resize_60_65_f16', 'resize_min49')


@pytest.mark.parametrize('name', CASES)
def test_padded_and_resized_pictures_equal_the_officials(name):
    facts, arrays = oracle()
    case = facts['cases'][name]
    pad_value = facts['mean_pixel'][str(case['model_variant'])]
    augmentation = Augmentation(tuple(case['crop']), flip=False, pad_value=tuple(pad_value), min_resize=case.get(
        'min_resize_value', 0), max_resize=case.get('max_resize_value', 0), resize_factor=case.get('resize_factor', 0))
    image, label = augmented(*drawn.evaluate(lambda: official_input(arrays)), augmentation, [0],
                             case.get('ignore_label', 255))[0]
    np.testing.assert_array_equal(label, arrays[f'{name}__label'][..., 0])
    if f'{name}__image' in arrays:
        np.testing.assert_allclose(image, arrays[f'{name}__image'], rtol=0, atol=2e-5)


@pytest.mark.parametrize(('case', 'options'), [
    ('crop513', {}), ('crop321_resize257_321_f16', {'min_resize': 257, 'max_resize': 321, 'resize_factor': 16})])
def test_sizes_and_padding_are_those_of_the_official_evaluation_pipeline(case, options):
    """Its records' pixels aren't in the project; their ids, none of them 255 before, show what is padding."""
    examples = json.loads((ORACLE / 'data_pipeline.json').read_text())[case]
    assert len(examples) == 3
    for example in examples:
        size = example['height'], example['width']
        if options:
            resized = drawn.evaluate(lambda size=size: augment.resized_to_range(tf.constant(size), **options))
            assert resized.tolist() == example['original_image_shape'][:2]
        augmentation = Augmentation(tuple(example['image_shape'][:2]), flip=False, **options)
        image, label = augmented(np.zeros((*size, 3)), np.zeros(size), augmentation, [0])[0]
        assert list(image.shape) == example['image_shape'] and image.dtype == example['image_dtype']
        assert (label == 255).sum() == example['label_counts']['255'] and label.dtype == example['label_dtype']
        assert ((image == 127.5).all(-1) == (label == 255)).all()


def test_the_grid_of_scales_is_the_officials():
    facts, _ = oracle()
    support = facts['get_random_scale(0.5,2.0,0.25) support']
    augmentation = Augmentation((1, 1), 0.5, 2.0, 0.25)
    chances = np.linspace(0, np.nextafter(np.float32(1), np.float32(0)), 700, dtype=np.float32)
    scales = drawn.evaluate(lambda: augment.random_scale(augmentation, tf.constant(chances)))
    values, counts = np.unique(scales, return_counts=True)
    assert values.tolist() == support and set(counts) == {100}


def test_step_0_draws_scales_uniformly():
    augmentation = Augmentation((1, 1), 0.5, 2.0)
    scales = drawn.evaluate(lambda: augment.random_scale(augmentation, tf.constant([0.0, 0.5, 0.999])))
    np.testing.assert_allclose(scales, [0.5, 1.25, 1.9985], rtol=1e-6)


def test_an_example_smaller_than_the_crop_is_padded_below_and_right():
    image, label = gradient(5, 7)
    cropped, ids = augmented(image, label, dataclasses.replace(PLAIN, pad_value=MEAN_PIXEL), [3], ignore_label=254)[0]
    np.testing.assert_allclose(cropped[:5, :7], image, atol=1e-4)
    np.testing.assert_array_equal(ids[:5, :7], label)
    outside = np.ones((8, 10), bool)
    outside[:5, :7] = False
    np.testing.assert_array_equal(cropped[outside], np.tile(np.float32(MEAN_PIXEL), (outside.sum(), 1)))
    assert (ids[outside] == 254).all()


def test_one_side_padded_and_the_other_cropped():
    image, label = gradient(5, 30)
    for cropped, ids in augmented(image, label, PLAIN, range(20)):
        left = ids[0, 0]
        np.testing.assert_array_equal(ids[:5], label[:, left:left + 10])
        np.testing.assert_allclose(cropped[:5], image[:, left:left + 10], atol=1e-4)
        assert (ids[5:] == 255).all() and (cropped[5:] == 127.5).all()


def test_crops_are_windows_and_reach_every_place():
    image, label = gradient(11, 12)
    corners = set()
    for cropped, ids in augmented(image, label, PLAIN, range(300)):
        top, left = divmod(int(ids[0, 0]), 12)
        np.testing.assert_array_equal(ids, label[top:top + 8, left:left + 10])
        np.testing.assert_allclose(cropped, image[top:top + 8, left:left + 10], atol=1e-4)
        corners.add((top, left))
    assert corners == {(top, left) for top in range(4) for left in range(3)}


def test_half_the_examples_are_mirrored():
    image, label = gradient(8, 10)
    flips = 0
    for cropped, ids in augmented(image, label, dataclasses.replace(PLAIN, flip=True), range(400)):
        flipped = ids[0, 0] == 9
        flips += flipped
        np.testing.assert_array_equal(ids, label[:, ::-1] if flipped else label)
        np.testing.assert_allclose(cropped, image[:, ::-1] if flipped else image, atol=1e-4)
    # Five standard deviations around a half.
    assert abs(flips - 200) < 50


def test_mirroring_is_independent_of_where_and_how_large_the_crop_is():
    image, label = gradient(15, 16)
    found = []
    for _, ids in augmented(image, label, Augmentation((8, 8), 0.25, 2.0), range(800)):
        known = ids[ids < 255]
        top, left = divmod(known.min(), 16)
        # Padding, which is right of a picture that isn't mirrored, is above all ids.
        found.append((ids[0, 0] > ids[0, -1], top, left, known.size, np.unique(known).size))
    flips, *others = np.transpose(found).astype(np.float64)
    for other in others:
        # Five standard deviations around none.
        assert np.std(other) > 1 and abs(np.corrcoef(flips, other)[0, 1]) < 5 / np.sqrt(len(flips))


def test_scaling_keeps_image_and_label_together():
    height, width = 40, 50
    half = np.arange(width) >= width // 2
    label = np.tile(half.astype(np.int32), (height, 1))
    image = np.repeat(label[..., None] * 200.0, 3, axis=-1)
    for cropped, ids in augmented(image, label, Augmentation((20, 20), 0.5, 2.0, pad_value=(0, 0, 0)), range(30)):
        # Only the pixels between two classes are blends.
        assert set(ids[cropped[..., 0] == 200]) <= {1} and set(ids[cropped[..., 0] == 0]) <= {0, 255}
        assert ((cropped[..., 0] > 0) & (cropped[..., 0] < 200)).sum() <= 3 * 20


def test_chance_comes_from_seed_and_number_alone():
    image, label = gradient(11, 12)
    augmentation = Augmentation((8, 10), 0.5, 2.0)
    first = augmented(image, label, augmentation, range(10))
    again = augmented(image, label, augmentation, [7, 3])
    for number, (cropped, ids) in zip((7, 3), again, strict=True):
        np.testing.assert_array_equal(cropped, first[number][0])
        np.testing.assert_array_equal(ids, first[number][1])
    other = augmented(image, label, augmentation, range(10), seed=1)
    assert sum(np.array_equal(a[0], b[0]) for a, b in zip(first, other, strict=True)) < 3


@pytest.mark.parametrize('options', [
    {}, {'pad_value': MEAN_PIXEL, 'pad_center': True}, {'min_resize': 9, 'max_resize': 14},
    {'rotation': 20.0, 'blur': 1.0, 'brightness': 0.1, 'pad_value': MEAN_PIXEL}])
def test_an_example_in_eight_bits_gives_the_same_as_in_32(options):
    random = np.random.RandomState(0)
    augmentation = Augmentation((12, 10), 0.5, 2.0, **options)
    for height, width in ((11, 13), (6, 21), (12, 10)):
        image, label = random.randint(0, 256, (height, width, 3)), random.randint(0, 256, (height, width))
        for small, large in zip(augmented(np.uint8(image), np.uint8(label), augmentation, range(9), as_they_are=True),
                                augmented(image, label, augmentation, range(9)), strict=True):
            for found, expected in zip(small, large, strict=True):
                assert found.dtype == expected.dtype
                np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('center', [False, True])
def test_padding_adds_and_subtracts_the_pad_value(center):
    """In float32, by hand: the rounding is what the released weights and all earlier runs were trained with."""
    augmentation = dataclasses.replace(PLAIN, pad_value=MEAN_PIXEL, pad_center=center)
    random, value = np.random.RandomState(0), np.float32(MEAN_PIXEL)
    for height, width in ((8, 10), (8, 7), (5, 10), (5, 7), (1, 1)):
        image, label = np.float32(random.uniform(0, 255, (height, width, 3))), random.randint(0, 256, (height, width))
        above, left = ((8 - height) // 2, (10 - width) // 2) if center else (0, 0)
        expected, ids = np.zeros((8, 10, 3), np.float32), np.full((8, 10), 7)
        expected[above:above + height, left:left + width] = image - value
        ids[above:above + height, left:left + width] = label
        found, found_ids = drawn.evaluate(lambda image=image, label=label: augment.pad(
            tf.constant(image), tf.constant(np.uint8(label)), augmentation, 7))
        np.testing.assert_array_equal(found, expected + value)
        np.testing.assert_array_equal(found_ids, ids)


FAULTS = ({'crop_size': (0, 5)}, {'min_scale': 0.0}, {'min_scale': 2.0, 'max_scale': 1.0}, {'scale_step': -0.25},
          {'max_resize': 65}, {'resize_factor': 16})


@pytest.mark.parametrize('fault', FAULTS)
def test_faulty_options_are_refused(fault):
    with pytest.raises(ValueError, match=next(iter(fault)).replace('min_scale', 'scales')):
        Augmentation(**{'crop_size': (5, 5), **fault})

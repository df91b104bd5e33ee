import numpy as np
import pytest
from PIL import Image

from datasets import row as rows
from datasets import synthetic
from datasets.convert import convert
from datasets.raw import labels

ROW = rows.load('synthetic')


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp('small')
    synthetic.draw_dataset(folder, {'train': 30, 'val': 5})
    return folder


def test_the_same_seed_draws_the_same_bytes(small, tmp_path):
    synthetic.draw_dataset(tmp_path / 'again', {'train': 3, 'val': 5})
    again = contents(tmp_path / 'again')
    drawn = contents(small)
    pictures = [path for path in again if path.suffix in ('.jpg', '.png')]
    assert len(pictures) == 16
    assert all(again[path] == drawn[path] for path in pictures)
    synthetic.draw_dataset(tmp_path / 'other', {'train': 3, 'val': 5}, seed=1)
    assert not any(contents(tmp_path / 'other')[path] == drawn[path] for path in pictures)


def test_labels_are_palette_pngs_of_odd_sizes(small):
    sizes = set()
    for path in sorted((small / 'SegmentationClass').glob('*.png')):
        with Image.open(path) as image:
            assert image.mode == 'P'
            assert tuple(image.getpalette()[:3 * ROW.num_classes]) == sum(ROW.palette, ())
            assert all(side % 2 and 120 <= side <= 200 for side in image.size)
            sizes.add(image.size)
        ids = labels.read(path, ROW)
        assert 255 in ids and 0 in ids
    assert len(sizes) > 20


def test_every_class_can_be_drawn_and_one_is_rare():
    assert {'background', *synthetic.OBJECTS} == set(ROW.class_names)
    assert set(synthetic.FREQUENCY) == set(synthetic.OBJECTS)
    assert sum(synthetic.FREQUENCY.values()) == pytest.approx(1)
    pixels = np.zeros(256, np.int64)
    for number in range(60):
        _, label = synthetic.draw(np.random.RandomState([0, 0, number]))
        pixels += np.bincount(label.ravel(), minlength=256)
    share = pixels / pixels.sum()
    assert (share[:6] > 0).all() and share[6:255].sum() == 0
    assert share[ROW.class_names.index('ring')] < 0.02 < share[1:5].min()
    assert 0.02 < share[255] < 0.10


def test_colour_does_not_tell_the_class():
    colors, classes = [], []
    for number in range(150):
        image, ids = synthetic.draw(np.random.RandomState([0, 0, number]))
        for label in sorted({1, 2, 3, 4} & {*np.unique(ids)}):
            colors.append(image[ids == label].mean(axis=0))
            classes.append(label)
    colors, classes = np.array(colors), np.array(classes)
    # Half the objects give each class its mean colour, by which the others are guessed; chance is 1/4.
    means = np.stack([colors[::2][classes[::2] == label].mean(axis=0) for label in (1, 2, 3, 4)])
    guesses = 1 + np.linalg.norm(colors[1::2, None] - means, axis=-1).argmin(axis=1)
    assert len(guesses) > 100
    assert (guesses == classes[1::2]).mean() < 0.38


def test_it_converts(small, tmp_path):
    manifests = convert(ROW, small, tmp_path, workers=1)
    assert {split: manifest['num_examples'] for split, manifest in manifests.items()} == {'train': 30, 'val': 5}


def test_the_command_line(tmp_path, capsys):
    assert synthetic.main(['--output_dir', str(tmp_path / 'drawn'), '--num_train', '2', '--num_val', '1']) == 0
    assert capsys.readouterr().out == f'synthetic: train, val in {tmp_path / "drawn"}\n'
    assert (tmp_path / 'drawn/ImageSets/Segmentation/train.txt').read_text() == 'train_00000\ntrain_00001\n'
    assert len(contents(tmp_path / 'drawn')) == 8

"""Datasets that are folders only, from their official layouts to records: drawn ones in full, real ones where there."""

import numpy as np
import pytest
from PIL import Image

from datasets import row as rows
from datasets.convert import convert
from datasets.input.index import index_records
from datasets.input_fn import eval_dataset
from datasets.raw import labels, layouts
from tests.datasets import drawn
from tests.paths import shared

# Label ids of Cityscapes' classes in the order of train ids, from cityscapesScripts' helpers/labels.py.
EVALUATED = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
# Row -> raw id of each class, by hand.
RAW = {'cityscapes': EVALUATED, 'ade20k': range(151), 'ade20k_150': range(1, 151)}
HIGHEST = {'cityscapes': 33, 'ade20k': 150, 'ade20k_150': 150}
TREES = {
    'cityscapes': {
        'train': ('leftImg8bit/train/ulm/ulm_{}_leftImg8bit.png', 'gtFine/train/ulm/ulm_{}_gtFine_labelIds.png'),
        'val': ('leftImg8bit/val/bern/bern_{}_leftImg8bit.png', 'gtFine/val/bern/bern_{}_gtFine_labelIds.png')},
    'ade20k': {'train': ('images/training/ADE_train_{}.jpg', 'annotations/training/ADE_train_{}.png'),
               'val': ('images/validation/ADE_val_{}.jpg', 'annotations/validation/ADE_val_{}.png')},
}
TREES['ade20k_150'] = TREES['ade20k']


def draw(root, name):
    """Two examples a split; returns the raw ids in the order of splits and names."""
    random, drawn_ids = np.random.RandomState(0), []
    for image, label in TREES[name].values():
        for number in range(2):
            height, width = drawn.SIZES[number]
            ids = random.randint(0, HIGHEST[name] + 1, (height, width)).astype(np.uint8)
            picture = random.randint(0, 256, (height, width, 3), np.uint8)
            for path, data in ((image, (drawn.png if image.endswith('png') else drawn.jpeg)(picture)),
                               (label, drawn.png(ids))):
                (root / path.format(number)).parent.mkdir(parents=True, exist_ok=True)
                (root / path.format(number)).write_bytes(data)
            drawn_ids.append(ids)
    return drawn_ids


def converted(tmp_path, name, raw_dir):
    """(manifests, names, labels) of all that raw_dir has."""
    dataset = rows.load(name)
    manifests = convert(dataset, raw_dir, tmp_path / 'records', workers=1)
    found = [element for split in manifests for element in drawn.batches(lambda split=split: eval_dataset(
        index_records(tmp_path / 'records', split, dataset), ignore_label=dataset.ignore_label))]
    return manifests, [features['filename'][0].decode() for features, _ in found], [label[0] for _, label in found]


def by_hand(raw, name):
    """The labels of raw ids, class by class."""
    expected = np.full(raw.shape, rows.load(name).ignore_label, np.int32)
    for label, raw_id in enumerate(RAW[name]):
        expected[raw == raw_id] = label
    return expected


@pytest.mark.parametrize('name', TREES)
def test_official_layouts_convert(tmp_path, name):
    raw = draw(tmp_path / 'raw', name)
    manifests, names, found = converted(tmp_path, name, tmp_path / 'raw')
    assert {split: manifest['num_examples'] for split, manifest in manifests.items()} == {'train': 2, 'val': 2}
    assert names == [image.rsplit('/', 1)[1].split('{}')[0] + str(number)
                     for image, _ in TREES[name].values() for number in range(2)]
    assert len(found) == len(raw) == 4
    for label, ids in zip(found, raw, strict=True):
        np.testing.assert_array_equal(label, by_hand(ids, name))


@pytest.mark.parametrize('name', TREES)
def test_an_id_beyond_the_last_is_refused(tmp_path, name):
    draw(tmp_path / 'raw', name)
    path = tmp_path / 'raw' / TREES[name]['val'][1].format(1)
    path.write_bytes(drawn.png(np.full(drawn.SIZES[1], HIGHEST[name] + 1, np.uint8)))
    with pytest.raises(ValueError, match=rf'1 problem\(s\) in the data\n  {path}: holds ids {HIGHEST[name] + 1} \('):
        convert(rows.load(name), tmp_path / 'raw', tmp_path / 'records', workers=1)
    assert not (tmp_path / 'records').exists()


@pytest.mark.parametrize('name', TREES)
def test_unpaired_files_stop_the_conversion(tmp_path, name):
    raw = tmp_path / 'raw'
    draw(raw, name)
    image, label = TREES[name]['train']
    (raw / image.format(0)).unlink()
    (raw / label.format(1)).unlink()
    with pytest.raises(ValueError, match=r'2 problem\(s\)') as error:
        convert(rows.load(name), raw, tmp_path / 'records', workers=1)
    assert str(error.value).splitlines()[1:] == [
        f'  {raw / image.format(1)}: has no label {raw / label.format(1)}',
        f'  {raw / label.format(0)}: has no image {raw / image.format(0)}']


REAL = {'cityscapes': ('cityscapes', 'gtFine/val/*/*_gtFine_labelIds.png', 2, 'frankfurt_000001_030310'),
        'ade20k': ('ADEChallengeData2016', 'annotations/validation/*.png', 3, 'ADE_val_00000001'),
        'ade20k_150': ('ADEChallengeData2016', 'annotations/validation/*.png', 3, 'ADE_val_00000001')}


@pytest.mark.parametrize('name', REAL)
def test_the_real_datasets(tmp_path, name):
    folder, label_files, count, first = REAL[name]
    raw_dir, dataset = shared('data', folder), rows.load(name)
    manifests, names, found = converted(tmp_path, name, raw_dir)
    assert list(manifests) == ['val'] and manifests['val']['num_examples'] == len(found) == count
    assert names[0] == first
    assert layouts.find_pairs(dataset, raw_dir.parent, 'val') == layouts.find_pairs(dataset, raw_dir, 'val')
    counts = np.zeros(256, np.int64)
    for label, path in zip(found, sorted(raw_dir.glob(label_files)), strict=True):
        raw = np.asarray(Image.open(path))
        np.testing.assert_array_equal(label, by_hand(raw, name))
        evaluated = np.isin(raw, [raw_id for raw_id in RAW[name] if raw_id])
        np.testing.assert_array_equal(labels.to_raw(label[evaluated], dataset), raw[evaluated])
        counts += np.bincount(raw.ravel(), minlength=256)
    pixels = [0 if raw_id == 0 else int(counts[raw_id]) for raw_id in RAW[name]]
    assert manifests['val']['class_pixels'] == pixels and sum(map(bool, pixels)) > 10
    assert manifests['val']['ignored_pixels'] == counts.sum() - sum(pixels) > 0

"""Official layouts, drawn small: every row's files are found, read as what they are, and become the classes meant."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from datasets import row as rows
from datasets.convert import convert
from datasets.input.index import index_records
from datasets.input_fn import eval_dataset
from datasets.raw import labels, layouts
from tests.datasets import drawn
from tests.datasets.placed import IDS, SIZE, colored, converted, label, matlab, palette, picture


def test_camvid_of_32_classes_is_read_from_colours(tmp_path):
    dataset, ids = rows.load('camvid_32'), IDS % 32
    picture(tmp_path / '701_StillsRaw_full/0001TP_006690.png')
    label(tmp_path / 'LabeledApproved_full/0001TP_006690_L.png', colored(dataset, ids))
    manifests, found = converted(dataset, tmp_path)
    np.testing.assert_array_equal(found['all']['0001TP_006690'], ids)
    assert manifests['all']['ignored_pixels'] == (ids == dataset.class_names.index('Void')).sum() > 0
    assert manifests['all']['published_num_examples'] == 701


COLORED = {'rgb': lambda rgb: Image.fromarray(rgb), 'palette': lambda rgb: Image.fromarray(rgb).quantize(32),
           'opaque': lambda rgb: Image.fromarray(rgb).convert('RGBA')}


@pytest.mark.parametrize('kind', COLORED)
def test_colours_in_each_form(tmp_path, kind):
    dataset = drawn.with_classes(rows.load('camvid_32'), ignore_label=255, ignore_colors=((1, 2, 3),))
    rgb = colored(dataset, IDS % 20)
    rgb[0, :2] = 1, 2, 3
    COLORED[kind](rgb).save(tmp_path / 'label.png')
    expected = IDS % 20
    expected[0, :2] = 255
    np.testing.assert_array_equal(labels.read(tmp_path / 'label.png', dataset), expected)


def test_unknown_colours_are_told_with_their_pixels(tmp_path):
    dataset = rows.load('camvid_32')
    rgb = colored(dataset, IDS % 20)
    rgb[0, :3], rgb[1, 0] = (1, 2, 3), (255, 255, 255)
    picture(tmp_path / '701_StillsRaw_full/a.png')
    label(tmp_path / 'LabeledApproved_full/a_L.png', rgb)
    with pytest.raises(ValueError, match=r'a_L.png: holds colours \(1, 2, 3\) \(3 pixels\), \(255, 255, 255\) \(1 pix'):
        convert(dataset, tmp_path, tmp_path / 'out', workers=1)
    Image.fromarray(np.dstack([rgb, rgb[..., 0]])).save(tmp_path / 'alpha.png')
    with pytest.raises(ValueError, match='has transparent pixels'):
        labels.read(tmp_path / 'alpha.png', dataset)
    (tmp_path / 'lossy.png').write_bytes(drawn.jpeg(rgb))
    with pytest.raises(ValueError, match='a JPEG cannot hold labels'):
        labels.read(tmp_path / 'lossy.png', dataset)
    (tmp_path / 'deep.png').write_bytes(drawn.grey_png(IDS, 16))
    with pytest.raises(ValueError, match='is not one of colours'):
        labels.read(tmp_path / 'deep.png', dataset)


def inria(root, number, size):
    pixels = picture(root / f'train/images/tyrol-w{number}.tif', size)
    building = np.random.RandomState(number).randint(0, 2, size).astype(bool)
    label(root / f'train/gt/tyrol-w{number}.tif', building.astype(np.uint8) * 255)
    return pixels, building


def test_inria_is_cut_into_tiles_that_give_back_the_image(tmp_path):
    dataset = drawn.with_classes(rows.load('inria'), tiles=rows.Tiles(16, 4))
    wanted = {number: inria(tmp_path, number, size) for number, size in ((5, (40, 33)), (6, (16, 50)), (36, (9, 20)))}
    manifests, found = converted(dataset, tmp_path)
    assert {split: (each['num_images'], each['num_examples']) for split, each in manifests.items()} == {
        'train': (2, 4 + 2), 'val': (1, 9)}
    for number, (_, building) in wanted.items():
        seen = np.full(building.shape, -1)
        for name, tile in found['val' if number == 5 else 'train'].items():
            stem, top, left = name.rsplit('_', 2)
            if stem == f'tyrol-w{number}':
                assert tile.shape == tuple(min(16, length) for length in building.shape)
                seen[int(top):int(top) + 16, int(left):int(left) + 16] = tile
        np.testing.assert_array_equal(seen, building)
    record = drawn.batches(lambda: eval_dataset(
        index_records(tmp_path / 'records', 'val', dataset), ignore_label=255))[-1][0]
    np.testing.assert_array_equal(record['image'][0], wanted[5][0][-16:, -16:])
    # Tiles that share pixels count them twice, as training does.
    assert sum(manifests['val']['class_pixels']) == 9 * 16 * 16


def test_inria_splits_are_the_authors():
    dataset = rows.load('inria')
    names = [f'{region}{number}' for region in ('austin', 'chicago', 'kitsap', 'tyrol-w', 'vienna')
             for number in range(1, 37)]
    chosen = {split: [name for name in names if re.fullmatch(own.only or '.*', name)]
              for split, own in dataset.splits.items()}
    assert {split: len(found) for split, found in chosen.items()} == {
        split: own.num_images for split, own in dataset.splits.items()} == {'train': 155, 'val': 25, 'trainval': 180}
    assert not set(chosen['train']) & set(chosen['val'])


@pytest.mark.parametrize(('name', 'ids', 'expected'), [
    ('mapillary_vistas', IDS % 66, np.where(IDS % 66 == 65, 255, IDS % 66)),
    ('mapillary_vistas_66', IDS % 66, IDS % 66)])
@pytest.mark.parametrize('folder', ['labels', 'v1.2/labels'])
def test_mapillary_vistas(tmp_path, name, ids, expected, folder):
    for split in ('training', 'validation'):
        picture(tmp_path / f'{split}/images/{split}_0.jpg')
        palette(tmp_path / f'{split}/{folder}/{split}_0.png', ids)
    _, found = converted(rows.load(name), tmp_path)
    assert list(found) == ['train', 'val']
    np.testing.assert_array_equal(found['val']['validation_0'], expected)


def test_coco_stuff_closes_the_gaps_of_coco_ids(tmp_path):
    dataset = rows.load('coco_stuff')
    raw = np.resize([*dataset.ids], SIZE).astype(np.uint8)
    picture(tmp_path / 'images/val2017/000000000139.jpg')
    label(tmp_path / 'annotations/val2017/000000000139.png', raw)
    _, found = converted(dataset, tmp_path)
    np.testing.assert_array_equal(found['val']['000000000139'], np.vectorize(dataset.ids.get)(raw))
    # 'tv' is 72 among COCO's categories, 'wood' 182, one more than in the maps.
    assert [dataset.class_names[dataset.ids[raw]] for raw in (0, 71, 181)] == ['person', 'tv', 'wood']
    assert dataset.num_classes == 171


def test_sun_rgbd(tmp_path):
    dataset = rows.load('sunrgbd')
    picture(tmp_path / 'image/train/img-000001.jpg')
    label(tmp_path / 'label37/train/img37labels-000001.png', (IDS % 38).astype(np.uint8))
    _, found = converted(dataset, tmp_path)
    np.testing.assert_array_equal(found['train']['000001'], np.where(IDS % 38 == 0, 255, IDS % 38 - 1))


@pytest.mark.parametrize(('name', 'table', 'other'), [
    ('pascal_context', 'background', 0), ('pascal_context_59', '', 255)])
def test_pascal_context_from_matlab(tmp_path, name, table, other):
    dataset = rows.load(name)
    # From the list of 459: 2 aeroplane, 23 bicycle, 458 wood; 1, accordion, is none of the 59.
    raw = np.resize(np.array([0, 1, 2, 23, 458], np.uint16), SIZE)
    picture(tmp_path / 'JPEGImages/2008_000002.jpg')
    matlab(tmp_path / 'trainval/2008_000002.mat', LabelMap=raw)
    drawn.touch(tmp_path, 'ImageSets/Main/train.txt')
    (tmp_path / 'ImageSets/Main/train.txt').write_text('2008_000002\n')
    _, found = converted(dataset, tmp_path)
    names = {0: table, 1: table, 2: 'aeroplane', 23: 'bicycle', 458: 'wood'}
    expected = {raw_id: dataset.class_names.index(text) if text else other for raw_id, text in names.items()}
    np.testing.assert_array_equal(found['train']['2008_000002'], np.vectorize(expected.get)(raw))


def sbd(root):
    """VOC with two train and one val image, of which SBD has one of each, and one more."""
    ids = drawn.voc(root, {'train': 2, 'val': 1})
    base = root / 'benchmark_RELEASE/dataset'
    picture(root / 'JPEGImages/extra.jpg')
    for name in ('extra', 'train_0', 'val_0'):
        drawn_ids = np.resize(IDS % 21, ids.get(name, IDS).shape).astype(np.uint8)
        matlab(base / f'cls/{name}.mat', GTcls={'Segmentation': drawn_ids, 'Boundaries': np.eye(2)})
    (base / 'train.txt').write_text('extra\nval_0\n')
    (base / 'val.txt').write_text('train_0\n')
    return ids


def test_train_aug_straight_from_sbd(tmp_path):
    ids = sbd(tmp_path)
    _, found = converted(rows.load('voc2012'), tmp_path)
    assert list(found['train_aug']) == ['extra', 'train_0', 'train_1']
    np.testing.assert_array_equal(found['train_aug']['extra'], IDS % 21)
    np.testing.assert_array_equal(found['train_aug']['train_0'], ids['train_0'])


def test_sbd_train_and_seg11valid_are_fcns_and_come_on_request(tmp_path):
    ids = sbd(tmp_path)
    (tmp_path / 'ImageSets/Segmentation/seg11valid.txt').write_text('val_0\n')
    dataset = rows.load('voc2012')
    assert layouts.present_splits(dataset, tmp_path) == ('train', 'val', 'train_aug')
    _, found = converted(dataset, tmp_path, ['sbd_train', 'seg11valid'])
    # Images of VOC's val stay in, and their labels are SBD's.
    assert list(found['sbd_train']) == ['extra', 'val_0'] and list(found['seg11valid']) == ['val_0']
    np.testing.assert_array_equal(found['sbd_train']['extra'], IDS % 21)
    np.testing.assert_array_equal(found['sbd_train']['val_0'], np.resize(IDS % 21, ids['val_0'].shape))
    np.testing.assert_array_equal(found['seg11valid']['val_0'], ids['val_0'])


def test_a_split_that_other_lists_make_tells_which(tmp_path):
    sbd(tmp_path)
    base = tmp_path / 'benchmark_RELEASE/dataset'
    (base / 'train.txt').unlink()
    with pytest.raises(ValueError, match=re.escape(f'{tmp_path}/ImageSets/Segmentation/sbd_train.txt, ')) as error:
        layouts.find_pairs(rows.load('voc2012'), tmp_path, 'sbd_train')
    assert f', {base}/train.txt, ' in str(error.value)
    with pytest.raises(ValueError) as error:
        layouts.find_pairs(rows.load('voc2012'), tmp_path, 'train_aug')
    lists = base / 'train.txt', base / 'val.txt', tmp_path / 'ImageSets/Segmentation/train.txt'
    assert f', {" with ".join(map(str, lists))} with {tmp_path}/ImageSets/Segmentation/val.txt, ' in str(error.value)


def test_a_damaged_matlab_file_and_one_of_something_else(tmp_path):
    sbd(tmp_path)
    folder = tmp_path / 'benchmark_RELEASE/dataset/cls'
    matlab(folder / 'extra.mat', GTinst={'Segmentation': IDS})
    with pytest.raises(ValueError, match='extra.mat: has no integer array GTcls.Segmentation of two dimensions'):
        convert(rows.load('voc2012'), tmp_path, tmp_path / 'out', ['train_aug'], workers=1)
    (folder / 'extra.mat').write_bytes(b'MATLAB')
    with pytest.raises(ValueError, match='extra.mat: not a MATLAB 5 file, or damaged'):
        convert(rows.load('voc2012'), tmp_path, tmp_path / 'out', ['train_aug'], workers=1)
    (folder / 'extra.mat').unlink()
    with pytest.raises(ValueError, match='extra.png: missing'):
        convert(rows.load('voc2012'), tmp_path, tmp_path / 'out', ['train_aug'], workers=1)


def test_matlab_labels_without_scipy_stop_before_any_file(tmp_path, monkeypatch):
    sbd(tmp_path)
    monkeypatch.setitem(sys.modules, 'scipy.io', None)
    with pytest.raises(ValueError, match='read with SciPy: pip install -r requirements-datasets.txt'):
        convert(rows.load('voc2012'), tmp_path, tmp_path / 'out', ['train_aug'], workers=1)
    assert not (tmp_path / 'out').exists()


def test_cityscapes_coarse_and_joined_splits_come_on_request(tmp_path):
    dataset = rows.load('cityscapes')
    for split, city in (('train', 'ulm'), ('val', 'bonn'), ('train_extra', 'wuppertal')):
        picture(tmp_path / f'leftImg8bit/{split}/{city}/{city}_1_leftImg8bit.png')
        if split != 'train_extra':
            label(tmp_path / f'gtFine/{split}/{city}/{city}_1_gtFine_labelIds.png', np.full(SIZE, 7, np.uint8))
        label(tmp_path / f'gtCoarse/{split}/{city}/{city}_1_gtCoarse_labelIds.png', np.full(SIZE, 8, np.uint8))
    assert layouts.present_splits(dataset, tmp_path) == ('train', 'val')
    _, found = converted(dataset, tmp_path, ['trainval', 'train_coarse', 'train_extra', 'trainval_coarse'])
    assert {split: {name: int(ids[0, 0]) for name, ids in each.items()} for split, each in found.items()} == {
        'trainval': {'ulm_1': 0, 'bonn_1': 0}, 'train_coarse': {'ulm_1': 1}, 'train_extra': {'wuppertal_1': 1},
        'trainval_coarse': {'ulm_1': 0, 'bonn_1': 0, 'wuppertal_1': 1}}

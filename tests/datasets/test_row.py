import pytest

from datasets import row as rows
from tests.paths import shared

ADE20K = {'train': 20210, 'val': 2000}
EXPECTED = {'ade20k': (151, 0, ADE20K), 'ade20k_150': (150, 255, ADE20K),
            'camvid': (11, 255, {'train': 367, 'val': 101, 'test': 233, 'trainval': 468}),
            'camvid_32': (32, 30, {'all': 701}),
            'cityscapes': (19, 255, {'train': 2975, 'val': 500, 'trainval': 3475, 'train_coarse': 2975,
                                     'val_coarse': 500, 'train_extra': 19998, 'trainval_coarse': 23473}),
            'coco_stuff': (171, 255, {'train': 118287, 'val': 5000}),
            'inria': (2, 255, {'train': 155, 'val': 25, 'trainval': 180}),
            'mapillary_vistas': (65, 255, {'train': 18000, 'val': 2000}),
            'mapillary_vistas_66': (66, 255, {'train': 18000, 'val': 2000}),
            'pascal_context': (60, 255, {'train': 4998, 'val': 5105}),
            'pascal_context_59': (59, 255, {'train': 4998, 'val': 5105}),
            'sunrgbd': (37, 255, {'train': 5285, 'test': 5050}),
            'synthetic': (6, 255, {'train': 200, 'val': 40}),
            'voc2012': (21, 255, {'train': 1464, 'val': 1449, 'trainval': 2913, 'train_aug': 10582,
                                  'sbd_train': 8498, 'seg11valid': 736})}
# Classes that share a colour in the published tables; COCO-Stuff has too many to be worth a list.
TWINS = {'ade20k': {'road', 'skyscraper'}, 'ade20k_150': {'road', 'skyscraper'},
         'pascal_context': {'bicycle', 'snow'}, 'pascal_context_59': {'bicycle', 'snow'}}


def test_every_row_is_expected_here():
    assert set(rows.names()) == set(EXPECTED)
    for name, (num_classes, ignore_label, splits) in EXPECTED.items():
        dataset = rows.load(name)
        assert (dataset.num_classes, dataset.ignore_label) == (num_classes, ignore_label)
        assert {split: entry.num_images for split, entry in dataset.splits.items()} == splits


@pytest.mark.parametrize('name', rows.names())
def test_a_row_is_whole(name):
    dataset = rows.load(name)
    assert dataset.title and dataset.url and dataset.licence
    assert len(dataset.palette) == dataset.num_classes
    twins = {name for name, color in zip(dataset.class_names, dataset.palette, strict=True)
             if dataset.palette.count(color) > 1}
    assert name == 'coco_stuff' or twins == TWINS.get(name, set())


def test_voc_colours_are_the_devkits():
    # The devkit's rule: bit k of the three colours takes bits 3k, 3k+1, 3k+2 of the id, from the highest bit down.
    dataset = rows.load('voc2012')
    for label, color in enumerate(dataset.palette):
        expected = [sum((label >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
        assert list(color) == expected
    assert dataset.palette[dataset.class_names.index('diningtable')] == (192, 128, 0)


def test_camvid_ignores_its_twelfth_id():
    assert rows.load('camvid').ids == {11: 255}


def test_ade20k_in_both_conventions():
    official, usual = rows.load('ade20k'), rows.load('ade20k_150')
    assert official.class_names == ('other objects', *usual.class_names)
    assert official.palette == ((0, 0, 0), *usual.palette)
    assert (official.layout, official.splits) == (usual.layout, usual.splits)
    assert official.ids == {} and official.raw_ids == tuple(range(151))
    assert usual.ids == {0: 255, **{raw: raw - 1 for raw in range(1, 151)}} and usual.raw_ids == tuple(range(1, 151))


def test_ade20k_names_are_the_first_synonyms():
    lines = shared('data', 'ADEChallengeData2016', 'objectInfo150.txt').read_text().splitlines()[1:]
    names = {int(line.split('\t')[0]): line.split('\t')[4].split(',')[0].strip() for line in lines}
    assert dict(enumerate(rows.load('ade20k').class_names[1:], start=1)) == names


def test_cityscapes_train_ids_are_of_the_evaluated_labels():
    dataset = rows.load('cityscapes')
    assert sorted(dataset.ids) == list(range(34))
    assert dataset.raw_ids == (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    assert [dataset.ids[raw] for raw in dataset.raw_ids] == list(range(19))
    assert {raw for raw, label in dataset.ids.items() if label == 255} == {*range(34)} - {*dataset.raw_ids}
    assert len(dataset.raw_ids) == dataset.num_classes


def test_an_unknown_name_gets_the_nearest_and_the_choices():
    with pytest.raises(ValueError, match=r"dataset = 'voc2102'.*voc2012.*the path of a \.toml row"):
        rows.load('voc2102')


def test_a_row_of_ones_own(tmp_path):
    path = tmp_path / 'mine.toml'
    path.write_text((rows.ROWS / 'camvid.toml').read_text())
    assert rows.load(path).name == 'mine'
    with pytest.raises(ValueError, match='absent.toml: no such dataset row'):
        rows.load(tmp_path / 'absent.toml')


FAULTS = (('ignore_label = 255', "labels = 'words'\nignore_label = 255", "labels = 'words' is unknown"),
          ('ignore_label = 255', "labels = 'one_hot'\nignore_label = 255", "needs layout kind 'pattern'"),
          ('ignore_label = 255', "labels = 'colors'\nignore_colors = [[128, 0, 0]]\nignore_label = 255",
           '(128, 0, 0) stands for two classes'),
          ('[layout]', '[tiles]\nsize = 8\noverlap = 8\n[layout]', 'tiles of 8 cannot overlap by 8'),
          ('num_images = 101', "num_images = 101\nonly = '('", "only = '(' of val is no regular expression"),
          ('num_images = 101', "num_images = 101\nparts = ['dev']", "val joins 'dev', which is no split of its own"),
          ("title = 'CamVid, 11 classes'", '', "'title' is missing"),
          ('ignore_label = 255', 'ignore_label = 300', '8-bit ids'),
          ('ignore_label = 255', 'ignore = 255\nignore_label = 255', "unknown key of the row 'ignore'"),
          ('ignore_label = 255', "labels = 'colors'\nignore_colors = [[1, 2]]\nignore_label = 255",
           'one of ignore_colors is (1, 2)'),
          ('color = [60, 40, 222]', 'color = [60, 40, 256]', "color of class 'pavement'"),
          ("name = 'pole'", "name = 'sky'", 'must be unique'),
          ('11 = 255', '11 = 30', 'maps 11 to 30'),
          ('11 = 255', '10 = 255', "ids leave no raw id for class 10, 'bicyclist'"),
          ('prefix =', 'prefixes =', "unknown key of layout 'prefixes'"),
          ('num_images = 101', 'images = 101', "unknown key of val 'images'"),
          ('[layout]', '[layout', 'mine.toml'))


@pytest.mark.parametrize(('found', 'replacement', 'message'), FAULTS)
def test_a_faulty_row_is_refused_with_its_path(tmp_path, found, replacement, message):
    text = (rows.ROWS / 'camvid.toml').read_text()
    assert found in text
    path = tmp_path / 'mine.toml'
    path.write_text(text.replace(found, replacement, 1))
    with pytest.raises(ValueError, match='mine.toml: ') as error:
        rows.load(path)
    assert message in str(error.value)


def test_raw_ids_are_where_classes_come_from(tmp_path):
    path = tmp_path / 'mine.toml'
    text = (rows.ROWS / 'camvid.toml').read_text()
    path.write_text(text.replace('11 = 255', '11 = 255\n30 = 2\n2 = 255'))
    dataset = rows.load(path)
    assert dataset.raw_ids == (0, 1, 30, *range(3, 11))
    assert dataset.legal_ids == {**{label: label for label in range(11)}, 2: 255, 11: 255, 30: 2, 255: 255}
    path.write_text(text.replace('[ids]\n11 = 255', '').replace('title =', f'ids = {[255, *range(11), 3]}\ntitle ='))
    dataset = rows.load(path)
    assert dataset.raw_ids == tuple(range(1, 12))
    assert dataset.legal_ids == dataset.ids == {0: 255, **{label + 1: label for label in range(11)}, 12: 3}

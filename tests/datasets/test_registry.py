import pytest

from datasets import registry

EXPECTED = {'camvid': (11, 255, {'train': 367, 'val': 101, 'test': 233}),
            'synthetic': (6, 255, {'train': 200, 'val': 40}),
            'voc2012': (21, 255, {'train': 1464, 'val': 1449, 'trainval': 2913, 'train_aug': 10582})}


def test_every_row_is_expected_here():
    assert set(registry.names()) >= set(EXPECTED)
    for name, (num_classes, ignore_label, splits) in EXPECTED.items():
        dataset = registry.load(name)
        assert (dataset.num_classes, dataset.ignore_label) == (num_classes, ignore_label)
        assert {split: entry.num_images for split, entry in dataset.splits.items()} == splits


@pytest.mark.parametrize('name', registry.names())
def test_a_row_is_whole(name):
    dataset = registry.load(name)
    assert dataset.title and dataset.url and dataset.licence
    assert len(dataset.palette) == dataset.num_classes
    assert len(set(dataset.palette)) == dataset.num_classes


def test_voc_colours_are_the_devkits():
    # The devkit's rule: bit k of the three colours takes bits 3k, 3k+1, 3k+2 of the id, from the highest bit down.
    dataset = registry.load('voc2012')
    for label, color in enumerate(dataset.palette):
        expected = [sum((label >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3)]
        assert list(color) == expected
    assert dataset.palette[dataset.class_names.index('diningtable')] == (192, 128, 0)


def test_camvid_ignores_its_twelfth_id():
    assert registry.load('camvid').ids == {11: 255}


def test_an_unknown_name_gets_the_nearest_and_the_choices():
    with pytest.raises(ValueError, match=r"unknown dataset 'voc2102' \(did you mean voc2012\?\).*camvid.*\.toml"):
        registry.load('voc2102')


def test_a_row_of_ones_own(tmp_path):
    path = tmp_path / 'mine.toml'
    path.write_text((registry.ROWS / 'camvid.toml').read_text())
    assert registry.load(path).name == 'mine'
    with pytest.raises(ValueError, match='absent.toml: no such dataset row'):
        registry.load(tmp_path / 'absent.toml')


FAULTS = (("title = 'CamVid, 11 classes'", '', "'title' is missing"),
          ('ignore_label = 255', 'ignore_label = 300', '8-bit ids'),
          ('ignore_label = 255', "ignore = 255\nignore_label = 255", "unknown key 'ignore' in row: choose from"),
          ('color = [60, 40, 222]', 'color = [60, 40, 256]', "color of class 'pavement'"),
          ("name = 'pole'", "name = 'sky'", 'must be unique'),
          ('11 = 255', '11 = 30', 'maps 11 to 30'),
          ('11 = 255', '10 = 255', "ids leave no raw id for class 10, 'bicyclist'"),
          ('prefix =', 'prefixes =', "unknown key 'prefixes' in layout"),
          ('num_images = 101', 'images = 101', "unknown key 'images' in val"),
          ('[layout]', '[layout', 'mine.toml'))


@pytest.mark.parametrize(('found', 'replacement', 'message'), FAULTS)
def test_a_faulty_row_is_refused_with_its_path(tmp_path, found, replacement, message):
    text = (registry.ROWS / 'camvid.toml').read_text()
    assert found in text
    path = tmp_path / 'mine.toml'
    path.write_text(text.replace(found, replacement, 1))
    with pytest.raises(ValueError, match='mine.toml: ') as error:
        registry.load(path)
    assert message in str(error.value)


def test_raw_ids_are_where_classes_come_from(tmp_path):
    path = tmp_path / 'mine.toml'
    text = (registry.ROWS / 'camvid.toml').read_text()
    path.write_text(text.replace('11 = 255', '11 = 255\n30 = 2\n2 = 255'))
    dataset = registry.load(path)
    assert dataset.raw_ids == (0, 1, 30, *range(3, 11))
    assert dataset.legal_ids == {**{label: label for label in range(11)}, 2: 255, 11: 255, 30: 2, 255: 255}
    path.write_text(text.replace('[ids]\n11 = 255', '').replace("title =", f'ids = {[255, *range(11), 3]}\ntitle ='))
    dataset = registry.load(path)
    assert dataset.raw_ids == tuple(range(1, 12))
    assert dataset.legal_ids == dataset.ids == {0: 255, **{label + 1: label for label in range(11)}, 12: 3}

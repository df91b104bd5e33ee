import shlex

import numpy as np
import pytest
from PIL import Image

from console.exits import guarded
from datasets import convert, new
from datasets import row as rows
from datasets.raw import labels, layouts
from datasets.records import manifest
from tests.datasets import drawn

# What users' folders look like: (image, mask) templates of each split, '{}' for the id.
TREES = {
    'two folders': {'train': ('images/{}.jpg', 'masks/{}.png')},
    'folders of splits': {'train': ('train/images/{}.png', 'train/labels/{}.png'),
                          'val': ('valid/images/{}.png', 'valid/labels/{}.png')},
    'splits of folders': {'train': ('img/training/{}.jpg', 'ann/training/{}.png'),
                          'val': ('img/validation/{}.jpg', 'ann/validation/{}.png'),
                          'test': ('img/test/{}.jpg', 'ann/test/{}.png')},
    'nothing but splits': {'train': ('train/{}.jpg', 'trainannot/{}.png'), 'val': ('val/{}.jpg', 'valannot/{}.png')},
    'one folder': {'train': ('{}.jpg', '{}.png')},
    'one folder with a word': {'train': ('all/{}.jpg', 'all/{}_mask.png')},
    'words before and after': {'train': ('pictures/img_{}_left.jpg', 'gt/mask_{}_labelIds.png')},
    'names that tell nothing': {'train': ('a/{}.jpg', 'b/{}.png')},
    'spaces, letters and braces': {'train': ('Bilder {{1}}/Grün {}.jpg', 'Masken – seg/Grün {}.png')},
    'cities': {'train': ('left/train/ulm/ulm_{}_left.png', 'fine/train/ulm/ulm_{}_labels.png'),
               'val': ('left/val/bern/bern_{}_left.png', 'fine/val/bern/bern_{}_labels.png')},
}
IDS = ('001', '002', '010', 'x7')


def draw(path, mask, ids=(0, 1, 2, 255)):
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.RandomState(len(path.name))
    if mask:
        labels = random.choice(np.array(ids, np.uint8), (9, 13))
        labels[:5] = ids[0]
        Image.fromarray(labels).save(path)
    else:
        Image.fromarray(random.randint(0, 256, (9, 13, 3), np.uint8)).save(path)


def tree(root, name, ids=IDS):
    for templates in TREES[name].values():
        for number, template in enumerate(templates):
            for one in ids:
                draw(root / template.format(one), mask=number == 1)


def made(tmp_path, capsys, *arguments):
    output = tmp_path / 'row.toml'
    status = new.main([*map(str, arguments), '--output', str(output), '--workers', '1'])
    told = capsys.readouterr()
    assert status == 0, told.err
    return rows.load(output), told.out


@pytest.mark.parametrize('name', TREES)
def test_folders_are_found_and_paired_by_name(tmp_path, capsys, name):
    root = tmp_path / 'root'
    tree(root, name)
    dataset, told = made(tmp_path, capsys, root)
    assert list(dataset.splits) == list(TREES[name])
    for split, (image, label) in TREES[name].items():
        pairs, problems = layouts.find_pairs(dataset, root, split)
        assert not problems and dataset.splits[split].num_images == len(IDS)
        assert [pair[1:] for pair in pairs] == [(root / image.format(one), root / label.format(one)) for one in IDS]
    assert ('no folder is named like validation' in told) == ('val' not in TREES[name])
    assert dataset.class_names == ('background', 'class_1', 'class_2') and dataset.ignore_label == 255
    assert 'void: id 255 is taken as ignored' in told and 'names: made up' in told


def test_the_command_that_it_names_converts(tmp_path, capsys, monkeypatch):
    tree(tmp_path / 'my root', 'folders of splits')
    _, told = made(tmp_path, capsys, tmp_path / 'my root')
    monkeypatch.chdir(tmp_path)
    *command, folder = shlex.split(told.splitlines()[-1])
    assert command[:3] == ['python', '-m', 'datasets.convert']
    assert convert.main([*command[3:], folder, '--workers', '1']) == 0
    written = {split: manifest.read(tmp_path / folder, split) for split in ('train', 'val')}
    assert {split: entry['num_examples'] for split, entry in written.items()} == {'train': 4, 'val': 4}
    assert written['val']['class_names'] == ['background', 'class_1', 'class_2']


def test_four_folders_as_xlmou_has_them(tmp_path, capsys):
    tree(tmp_path / 'root', 'splits of folders')
    folders = {'--train-image-path': 'img/training', '--train-label-path': 'ann/training',
               '--val_image_path': 'img/validation', '--val_label_path': 'ann/validation'}
    arguments = [word for name, folder in folders.items() for word in (name, tmp_path / 'root' / folder)]
    dataset, _ = made(tmp_path, capsys, *arguments)
    assert list(dataset.splits) == ['train', 'val']
    assert dataset.templates('val') == (('img/validation/{id}.jpg',), ('ann/validation/{id}.png',))


def test_several_cities_are_one_split(tmp_path, capsys):
    root = tmp_path / 'root'
    for city in ('ulm', 'bern'):
        for one in IDS:
            draw(root / f'left/train/{city}/{city}_{one}_left.png', mask=False)
            draw(root / f'fine/train/{city}/{city}_{one}_labelIds.png', mask=True)
            draw(root / f'fine/train/{city}/{city}_{one}_instanceIds.png', mask=True, ids=(0, 1, 2, 250))
    dataset, told = made(tmp_path, capsys, root)
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert not problems and len(pairs) == 8
    assert all(pair.image.name.replace('left', 'labelIds') == pair.label.name for pair in pairs), pairs
    assert 'instanceIds.png... would pair with' in told


def test_files_without_partner_are_told_and_none_is_paired_by_its_place(tmp_path, capsys):
    root = tmp_path / 'root'
    tree(root, 'two folders')
    (root / 'images/001.jpg').unlink()
    (root / 'masks/x7.png').unlink()
    dataset, told = made(tmp_path, capsys, root)
    assert [pair.id for pair in layouts.find_pairs(dataset, root, 'train')[0]] == ['002', '010']
    assert f'train: {root}/images/x7.jpg: has no label {root}/masks/x7.png' in told
    assert f'train: {root}/masks/001.png: has no image {root}/images/001.jpg' in told
    assert dataset.splits['train'].num_images == 2


def test_images_of_several_suffixes(tmp_path, capsys):
    tree(tmp_path / 'root', 'two folders')
    draw(tmp_path / 'root/images/y.PNG', mask=False)
    draw(tmp_path / 'root/masks/y.png', mask=True)
    dataset, _ = made(tmp_path, capsys, tmp_path / 'root')
    assert len(layouts.find_pairs(dataset, tmp_path / 'root', 'train')[0]) == 5


VALUES = [
    ((0, 255), {0: 0, 255: 1}, 'masks hold 0 and 255 only, so 255 is taken as a class'),
    ((0, 1), {0: 0, 1: 1, 255: 255}, 'no id 255, so every id is taken as a class'),
    ((0, 1, 3, 4), {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 255: 255}, 'ids [2] occur in no mask'),
    ((0, 80, 160, 255), {0: 0, 80: 1, 160: 2, 255: 255}, 'ids [0, 80, 160] have gaps'),
]


@pytest.mark.parametrize(('ids', 'legal', 'said'), VALUES)
def test_ids_become_classes(tmp_path, capsys, ids, legal, said):
    for one in IDS:
        draw(tmp_path / f'root/images/{one}.png', mask=False)
        draw(tmp_path / f'root/masks/{one}.png', mask=True, ids=ids)
    dataset, told = made(tmp_path, capsys, tmp_path / 'root')
    assert dict(dataset.legal_ids) == legal and said in told


COLORS = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 64), (255, 255, 255)], np.uint8)


def test_colours_become_classes(tmp_path, capsys):
    tree(tmp_path / 'root', 'two folders')
    random, expected = np.random.RandomState(0), {}
    for one in IDS:
        expected[one] = random.choice(4, (9, 13), p=(0.4, 0.3, 0.2, 0.1))
        Image.fromarray(COLORS[expected[one]]).save(tmp_path / f'root/masks/{one}.png')
    (tmp_path / 'root/class_dict.csv').write_text('name,r,g,b\nTree,0,128,64\n')
    dataset, told = made(tmp_path, capsys, tmp_path / 'root')
    assert dataset.labels == 'colors' and dataset.ignore_colors == ((255, 255, 255),)
    assert dict(zip(dataset.class_names, dataset.palette, strict=True)) == {
        'Tree': (0, 128, 64), 'background': (0, 0, 0), 'class_2': (128, 0, 0)}
    assert 'void: colour (255, 255, 255) is taken as ignored' in told
    order = np.array([1, 2, 0, 255])
    for pair in layouts.find_pairs(dataset, tmp_path / 'root', 'train')[0]:
        np.testing.assert_array_equal(labels.read(pair.label, dataset), order[expected[pair.id]])


def test_a_folder_of_masks_for_each_class(tmp_path, capsys):
    root, random = tmp_path / 'root', np.random.RandomState(0)
    for one in IDS:
        draw(root / f'images/{one}.jpg', mask=False)
        for name in ('cat', 'dog') if one != '010' else ('dog',):
            (root / f'masks/{name}').mkdir(parents=True, exist_ok=True)
            half = 4 if name == 'cat' else 0
            mask = np.zeros((9, 13), np.uint8)
            mask[half:half + 4] = random.choice(np.array([0, 255], np.uint8), (4, 13))
            Image.fromarray(mask).save(root / f'masks/{name}/{one}.png')
    dataset, told = made(tmp_path, capsys, root)
    assert dataset.class_names == ('background', 'cat', 'dog') and dataset.labels == 'one_hot'
    assert dataset.templates('train')[1] == ('masks/{class}/{id}.png',)
    assert 'one folder of masks for each of 2 classes' in told and 'background: added' in told
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert not problems and [pair.id for pair in pairs] == list(IDS)
    for pair in pairs:
        ids = labels.read(pair.label, dataset)
        for label, name in enumerate(('cat', 'dog'), start=1):
            path = root / f'masks/{name}/{pair.id}.png'
            expected = drawn.decoded(path.read_bytes()) > 0 if path.exists() else np.zeros((9, 13), bool)
            np.testing.assert_array_equal(ids == label, expected)


def test_ids_and_colours_together_are_refused(tmp_path, capsys):
    tree(tmp_path / 'root', 'two folders')
    Image.fromarray(COLORS[np.zeros((9, 13), int)]).save(tmp_path / 'root/masks/001.png')
    assert 'some masks hold ids ([0, 1, 2, 255]...), others colours' in refused(
        capsys, tmp_path / 'root', '--output', tmp_path / 'row.toml')


def test_names_come_from_a_list(tmp_path, capsys):
    tree(tmp_path / 'root', 'two folders')
    (tmp_path / 'root/classes.txt').write_text('Himmel\r\nWeg\r\n\r\nBaum "alt"\r\nnie\r\n', encoding='utf-8')
    dataset, told = made(tmp_path, capsys, tmp_path / 'root')
    assert dataset.class_names == ('Himmel', 'Weg', 'Baum "alt"', 'nie')
    assert 'made up' not in told and 'ids [3] occur in no mask' in told


def test_palettes_give_colours(tmp_path, capsys):
    tree(tmp_path / 'root', 'two folders')
    drawn.palette_png(tmp_path / 'root/masks/001.png', np.zeros((9, 13), np.uint8))
    dataset, _ = made(tmp_path, capsys, tmp_path / 'root')
    palette = np.random.RandomState(7).randint(0, 256, 768, np.uint8).reshape(-1, 3)
    np.testing.assert_array_equal(dataset.palette, palette[:3])


def test_a_loop_of_links_ends(tmp_path, capsys):
    tree(tmp_path / 'root', 'two folders')
    (tmp_path / 'root/images/again').symlink_to(tmp_path / 'root')
    dataset, _ = made(tmp_path, capsys, tmp_path / 'root')
    assert len(layouts.find_pairs(dataset, tmp_path / 'root', 'train')[0]) == 4


def test_layouts_of_ours_are_known(tmp_path, capsys):
    drawn.voc(tmp_path / 'root', {'train': 4, 'val': 3})
    _, told = made(tmp_path, capsys, tmp_path / 'root')
    assert 'the files lie as those of voc2012: if it is that, no row is needed' in told


def refused(capsys, *arguments):
    assert guarded(lambda: new.main([*map(str, arguments), '--workers', '1'])) == 2
    return capsys.readouterr().err


def test_what_cannot_be_guessed_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / 'root'
    assert 'give a folder PATH, or the folders' in refused(capsys)
    assert 'root is not a folder' in refused(capsys, root)
    root.mkdir()
    assert 'root has no files of .bmp' in refused(capsys, root)
    draw(root / 'images/a.jpg', mask=False)
    draw(root / 'masks/b.png', mask=True)
    assert 'no images and masks have the same names; found\n  images/a.jpg...: 1 images' in refused(capsys, root)
    (root / 'masks/b.png').unlink()
    draw(root / 'masks/a.jpg', mask=False)
    assert 'none of the 1 masks can be read' in (told := refused(capsys, root)) and 'export masks as PNG' in told
    draw(root / 'masks/a.png', mask=True)
    (root / 'masks/a.jpg').unlink()
    assert 'have no names in common' not in refused(capsys, '--train_image_path', root / 'images')
    assert 'give both --train_image_path' in refused(capsys, '--train_image_path', root / 'images')
    assert new.main([str(root), '--workers', '1']) == 0
    assert 'root.toml exists: give another --output' in refused(capsys, root)

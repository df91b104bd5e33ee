import pytest

from datasets import row as rows
from datasets.raw import layouts
from tests.datasets import drawn

ROW = """
title = 'Streets'
url = 'nowhere'
licence = 'none'
ignore_label = 255
classes = [{ name = 'road', color = [0, 0, 0] }, { name = 'sky', color = [0, 0, 255] }]

[layout]
kind = 'pattern'
roots = ['.', 'streets']
image = ['rgb/{split}/{city}/{id}_rgb.png', 'rgb/{split}/{city}/{id}.jpg']
label = ['fine/{split}/{city}/{id}_ids.png']

[splits.train]
num_images = 3

[splits.val]
num_images = 2
folder = 'validation'
"""
TRAIN = ('rgb/train/ulm/b_rgb.png', 'rgb/train/ulm/a_rgb.png', 'rgb/train/bern/c_rgb.png',
         'fine/train/ulm/a_ids.png', 'fine/train/ulm/b_ids.png', 'fine/train/bern/c_ids.png')


@pytest.fixture
def make(tmp_path):
    """make(files, changes...) -> (dataset, raw_dir) of a tree with these files, and the row with texts replaced."""
    def made(files, *changes):
        text = ROW
        for found, replacement in changes:
            assert found in text
            text = text.replace(found, replacement)
        (tmp_path / 'streets.toml').write_text(text)
        drawn.touch(tmp_path / 'data', *files)
        return rows.load(tmp_path / 'streets.toml'), tmp_path / 'data'
    return made


def told(problems, root):
    return [str(problem).replace(f'{root}/', '') for problem in problems]


def test_pairs_are_made_by_name_and_come_in_the_order_of_paths(make):
    dataset, root = make(TRAIN)
    assert layouts.present_splits(dataset, root) == ('train',)
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert problems == []
    assert [pair.id for pair in pairs] == ['c', 'a', 'b']
    assert [pair.label.relative_to(root).as_posix() for pair in pairs] == [
        'fine/train/bern/c_ids.png', 'fine/train/ulm/a_ids.png', 'fine/train/ulm/b_ids.png']
    assert all(pair.image.parent.name == pair.label.parent.name for pair in pairs)


def test_a_missing_file_shifts_nothing_and_is_told_on_both_sides(make):
    # By sorted position a would get b's label, and the counts would even agree.
    dataset, root = make([*TRAIN[:2], *TRAIN[4:]])
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert [(pair.image.name, pair.label.name) for pair in pairs] == [('b_rgb.png', 'b_ids.png')]
    assert told(problems, root) == ['rgb/train/ulm/a_rgb.png: has no label fine/train/ulm/a_ids.png',
                                    'fine/train/bern/c_ids.png: has no image rgb/train/bern/c_rgb.png']


def test_a_split_may_have_a_folder_of_another_name_and_the_root_be_one_down(make):
    dataset, root = make(['streets/rgb/validation/ulm/a_rgb.png', 'streets/fine/validation/ulm/a_ids.png'])
    assert layouts.present_splits(dataset, root) == layouts.present_splits(dataset, root / 'streets') == ('val',)
    for raw_dir in (root, root / 'streets'):
        pairs, problems = layouts.find_pairs(dataset, raw_dir, 'val')
        assert [pair.id for pair in pairs] == ['a'] and problems == []


def test_the_first_template_that_meets_files_is_taken(make):
    dataset, root = make(['rgb/train/ulm/a.jpg', 'fine/train/ulm/a_ids.png'])
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert [pair.image.name for pair in pairs] == ['a.jpg'] and problems == []


def test_the_same_name_in_two_folders_is_told(make):
    dataset, root = make([*TRAIN, 'rgb/train/bern/a_rgb.png', 'fine/train/bern/a_ids.png'])
    _, problems = layouts.find_pairs(dataset, root, 'train')
    assert told(problems, root) == ["rgb/train/ulm/a_rgb.png: has the id 'a' of rgb/train/bern/a_rgb.png"]


def test_two_images_for_one_label_are_told(make):
    dataset, root = make(['rgb/train/ulm/a.jpg', 'rgb/train/ulm/a.png', 'fine/train/ulm/a_ids.png'],
                         ("'rgb/{split}/{city}/{id}_rgb.png', 'rgb/{split}/{city}/{id}.jpg'",
                          "'rgb/{split}/{city}/{id}.{extension}'"))
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert [pair.image.name for pair in pairs] == ['a.jpg']
    assert told(problems, root) == ['rgb/train/ulm/a.png: pairs with the same file as rgb/train/ulm/a.jpg']


def test_a_field_that_comes_twice_is_the_same_twice(make):
    dataset, root = make(['rgb/train/ulm/ulm_1.png', 'rgb/train/ulm/bern_2.png', 'fine/train/ulm/1_ids.png'],
                         ('{city}/{id}_rgb.png', '{city}/{city}_{id}.png'))
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert [(pair.id, pair.image.name) for pair in pairs] == [('1', 'ulm_1.png')] and problems == []


def test_names_with_spaces_accents_and_brackets(make):
    dataset, root = make(['rgb/train/São Paulo/été [1]_rgb.png', 'fine/train/São Paulo/été [1]_ids.png'])
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert [pair.id for pair in pairs] == ['été [1]'] and problems == []
    dataset, root = make(['streets [v2]/rgb/train/ulm/x_rgb.png', 'streets [v2]/fine/train/ulm/x_ids.png'],
                         ("'.', 'streets'", "'streets [v2]'"))
    assert [pair.id for pair in layouts.find_pairs(dataset, root, 'train')[0]] == ['x']


def test_hidden_files_and_others_are_left_alone(make):
    dataset, root = make([*TRAIN, 'rgb/train/ulm/._a_rgb.png', 'rgb/train/ulm/notes.txt', 'fine/train/ulm/a_color.png'])
    pairs, problems = layouts.find_pairs(dataset, root, 'train')
    assert len(pairs) == 3 and problems == []


def test_what_is_not_there_is_named_with_what_is(make):
    dataset, root = make(TRAIN)
    with pytest.raises(ValueError, match=r'no images of streets val: looked for .*/rgb/validation/\*/\*_rgb\.png, .*'
                                         r'streets/rgb/validation/\*/\*\.jpg; splits that are there: train$'):
        layouts.find_pairs(dataset, root, 'val')


@pytest.mark.parametrize(('there', 'nothing', 'such_as'), [
    (TRAIN[:3], r'fine/train/\*/\*_ids\.png', 'rgb/train/bern/c_rgb.png'),
    (TRAIN[3:], r'rgb/train/\*/\*\.jpg', 'fine/train/bern/c_ids.png')])
def test_a_side_that_is_not_unpacked_is_told_once(make, there, nothing, such_as):
    dataset, root = make(there)
    assert layouts.present_splits(dataset, root) == ('train',)
    with pytest.raises(ValueError, match=rf'{nothing} matches nothing, but there are 3 files .*{such_as}'):
        layouts.find_pairs(dataset, root, 'train')


def test_templates_that_cannot_pair_are_refused(make):
    dataset, root = make(['rgb/train/ulm/a_rgb.png', 'fine/train/ulm/a_ids.png'],
                         ('fine/{split}/{city}/{id}_ids.png', 'fine/{split}/{city}/{name}_ids.png'))
    with pytest.raises(ValueError, match=r'streets pairs by name: .* must both have an \{id\}'):
        layouts.find_pairs(dataset, root, 'train')

"""Labels as a folder of binary masks for each class."""

import numpy as np
import pytest

from datasets import convert as converter
from datasets import row as rows
from datasets.convert import convert
from tests.datasets.placed import IDS, converted, label, picture

ONE_HOT = """
title = 'mine'
url = '.'
licence = 'mine'
labels = 'one_hot'
ignore_label = 255
classes = [{ name = 'cat' }, { name = 'dog' }%s]
[layout]
kind = 'pattern'
image = ['images/{id}.png']
label = ['masks/{class}/{id}.png']
[splits.train]
num_images = 1
"""


def one_hot(root, more=''):
    (root / 'mine.toml').write_text(ONE_HOT % more)
    picture(root / 'images/7.png')
    label(root / 'masks/cat/7.png', IDS < 20)
    label(root / 'masks/dog/7.png', ((IDS >= 30) & (IDS < 50)).astype(np.uint8) * 255)
    return rows.load(root / 'mine.toml')


@pytest.mark.parametrize(('more', 'rest'), [('', 255), (", { name = 'background' }", 2)])
def test_a_folder_of_binary_masks_for_each_class(tmp_path, more, rest):
    _, found = converted(one_hot(tmp_path, more), tmp_path)
    expected = np.select([IDS < 20, (IDS >= 30) & (IDS < 50)], [0, 1], rest)
    np.testing.assert_array_equal(found['train']['7'], expected)


MASKS = {'dog shares 5 pixels with classes before it': ('masks/dog/7.png', (IDS >= 15) & (IDS < 50)),
         'holds 0, 1, 2: a mask of one class holds 0 and one other': ('masks/dog/7.png', (IDS % 3).astype(np.uint8)),
         'holds 1, 2: a mask of one class holds 0 and one other': ('masks/dog/7.png', (IDS % 2 + 1).astype(np.uint8)),
         'its masks differ in size: cat 17x12, dog 3x2': ('masks/dog/7.png', np.zeros((2, 3), np.uint8)),
         "masks/cow/*.png: is of class 'cow', which mine has not": ('masks/cow/7.png', IDS < 0),
         'has no image': ('masks/cat/8.png', IDS < 20)}


@pytest.mark.parametrize('message', MASKS)
def test_masks_that_contradict_each_other_or_the_row(tmp_path, message):
    dataset = one_hot(tmp_path)
    file, mask = MASKS[message]
    label(tmp_path / file, mask)
    with pytest.raises(ValueError, match='nothing was written: 1 problem') as error:
        convert(dataset, tmp_path, tmp_path / 'out', workers=1)
    assert message in str(error.value)


def test_a_split_of_another_number_of_images_is_reported(tmp_path, capsys):
    one_hot(tmp_path)
    picture(tmp_path / 'images/8.png')
    label(tmp_path / 'masks/cat/8.png', IDS < 20)
    arguments = ['--dataset', str(tmp_path / 'mine.toml'), '--raw_dir', str(tmp_path), '--output_dir',
                 str(tmp_path / 'out'), '--workers', '1']
    assert converter.main(arguments) == 0
    assert 'warning: mine train has 2 images, not the published 1' in capsys.readouterr().err

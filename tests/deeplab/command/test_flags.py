"""What the mains make of their own flags."""

from pathlib import Path

import pytest

from deeplab.command import flags
from deeplab.recipes import recipe


def test_overfitting_trains_and_evaluates_on_the_first_images_as_they_are():
    chosen = flags.choose_recipe('deeplabv3plus_resnet101_voc_rishizek', None, flags.overfitting(3))
    data = chosen.data
    assert (data.limit, data.min_scale, data.max_scale, data.flip) == (3, 1.0, 1.0, False)
    assert data.eval_split == data.train_split == 'train_aug'


def test_a_field_of_the_command_line_wins_over_overfitting():
    chosen = flags.choose_recipe('demo', None, flags.overfitting(3) | {'data.flip': 'true', 'data.eval_split': 'val'})
    assert chosen.data.flip and chosen.data.eval_split == 'val' and chosen.data.limit == 3


def test_overfitting_needs_an_image():
    with pytest.raises(ValueError, match='at least 1'):
        flags.overfitting(0)


def test_a_recipe_has_a_folder_of_its_own_unless_one_is_given():
    demo = recipe.load('demo')
    assert flags.choose_model_dir(None, 'demo', demo) == Path('runs/demo')
    assert flags.choose_model_dir('there', 'demo', demo) == Path('there')
    with pytest.raises(ValueError, match='give --model_dir'):
        flags.choose_model_dir(None, None, demo)

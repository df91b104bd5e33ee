"""A recipe's names are looked up in one place, which says what is wrong with them."""

import pytest

from deeplab import run
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe


@pytest.mark.parametrize(('option', 'message'), [
    ('options.atrous_rate', (r'not an option of deeplabv3plus; did you mean atrous_rates or .*'
                             r'\(atrous_rates: of the branches of ASPP.*; `python train.py --list')),
    ('options.zzz', r'not an option of deeplabv3plus; choices: decoder_output_stride, .* \(`python train.py --list'),
    ('backbone_options.depth_multiply', r"mobilenet_v2; .*\(depth_multiplier: factor of every layer's channels")])
def test_an_unknown_option_is_answered_with_the_meaning_of_the_near_one(option, message):
    with pytest.raises(ValueError, match=f'model.{option} is .*{message}'):
        run.resolve(recipes.override(Recipe(), {f'model.{option}': 1}))

"""The choices of a recipe's fields stand in the schema, and every table that says what they do has just these keys."""

import re

import pytest

from datasets.input import index, order
from deeplab import losses, metrics, optimizer
from deeplab.command import flags
from deeplab.kernels.choice import CHOICES as KERNELS
from deeplab.layers import conv
from deeplab.predicting import forward, predict, tiles
from deeplab.recipes import protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe

CHOICES = {path: field.metadata['choices'] for path, field in recipes.fields().items() if field.metadata['choices']}

TABLES = {
    'data.on_corrupt': index.ON_CORRUPT,
    'data.order': order.ORDERS,
    'model.merge_method': forward.MERGES,
    'batch_norm.mode': conv.BATCH_NORM_MODES,
    'loss.name': losses.LOSSES,
    'loss.weight_decay_rule': losses.RULES,
    'optimizer.name': optimizer.OPTIMIZERS,
    'schedule.policy': optimizer.SCHEDULES,
    'evaluation.fusion': predict.FUSIONS,
    'evaluation.tile_weighting': tiles.WEIGHTINGS,
    'evaluation.crf': ['', *protocol.CRFS],
    'train.kernels': KERNELS,
    'evaluation.absent': metrics.ABSENT_RULES,
}
# Two or three ways that a branch tells apart, and a word for tables.
WITHOUT_TABLE = {'train.precision', 'train.data_format', 'loss.class_weights', 'schedule.unit',
                 'optimizer.multiply', 'evaluation.resolution', 'evaluation.trimap_around'}


def test_every_field_with_choices_has_a_table_or_is_known_to_have_none():
    assert len(CHOICES) > 15
    assert set(CHOICES) == set(TABLES) | WITHOUT_TABLE and not set(TABLES) & WITHOUT_TABLE


@pytest.mark.parametrize('path', TABLES)
def test_the_table_has_the_choices_of_the_schema(path):
    assert set(TABLES[path]) == set(CHOICES[path])


@pytest.mark.parametrize('path', CHOICES)
def test_the_default_is_a_choice_and_another_word_is_refused(path):
    assert recipes.get(Recipe(), path) in CHOICES[path]
    for choice in CHOICES[path]:
        assert recipes.get(recipes.override(Recipe(), {path: choice}), path) == choice
    with pytest.raises(ValueError, match=f"^{path} = 'no such' is unknown; choices: .*{list(CHOICES[path])[-1]}"):
        recipes.override(Recipe(), {path: 'no such'})


@pytest.mark.parametrize('path', CHOICES)
def test_help_shows_the_choices_and_what_they_mean(path, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    text = flags.Parser('test').format_help()
    lines = re.split(rf'\n  --{path}\s', text)[1].split('\n  --')[0].split('\n\n')[0]
    assert max(map(len, lines.splitlines())) < 80
    said = ' '.join(lines.split())
    for choice, meaning in CHOICES[path].items():
        assert choice in said and meaning in said

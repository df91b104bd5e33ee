"""What an evaluation scores, in words: so many images of how many, under which protocol."""

from types import SimpleNamespace

import pytest

from datasets import row as rows
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports import scope

CAMVID = rows.load('camvid')


def camvid(number, whole=101, **changes):
    recipe = recipes.override(Recipe(), {'data.dataset': 'camvid'} | {
        path.replace('__', '.'): value for path, value in changes.items()})
    return scope.Scope(recipe, CAMVID, number, whole)


def test_the_line_has_images_protocol_and_precision():
    assert str(camvid(101)) == 'camvid val, 101 images; OS 16, float32'
    assert str(camvid(20, train__precision='bfloat16')) == 'camvid val, 20 of 101 images; OS 16, bfloat16'
    assert str(camvid(5, data__eval_split='test', evaluation__flip=True, data__limit=5)) == (
        'camvid test, 5 of 101 images; OS 16, flip, first 5 images, float32')


@pytest.mark.parametrize(('changes', 'why'), [
    ({'evaluation__limit': 20}, 'evaluation.limit = 20'), ({'data__limit': 20}, 'data.limit = 20'),
    ({'data__limit': 30, 'evaluation__limit': 20}, 'data.limit = 30 and evaluation.limit = 20'),
    ({}, 'the records hold no more')])
def test_a_part_is_warned_of_and_why_it_is_one(changes, why):
    assert camvid(20, **changes).warning == (
        f'only 20 of the 101 images of camvid val are evaluated ({why}): the score is not one of the split')
    assert camvid(101, **changes).warning == ''


@pytest.mark.parametrize(('dataset', 'split', 'taken', 'left_out', 'whole'), [
    ('camvid', 'val', 20, 81, 101), ('camvid', 'val', 20, 0, 101), ('camvid', 'val', 20, 100, 120),
    ('camvid', 'mine', 20, 5, 25), ('inria', 'val', 20, 0, 20), ('inria', 'val', 20, 2480, 2500)])
def test_a_whole_split_is_what_is_published_or_what_the_records_hold(dataset, split, taken, left_out, whole):
    """Where images are cut into tiles, the published count is of other things."""
    recipe = recipes.override(Recipe(), {'data.eval_split': split})
    found = scope.of(recipe, rows.load(dataset), SimpleNamespace(num_examples=taken, left_out=left_out))
    assert (found.num_images, found.split_images) == (taken, whole)


def test_a_folder_has_the_split_and_the_protocol():
    recipe = recipes.override(Recipe(), {'data.eval_split': 'test', 'evaluation.limit': 7})
    assert scope.folder(recipe) == 'test_os16_first7'

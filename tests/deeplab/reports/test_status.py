"""Statuses and reference runs: each is found in results, and each condition is needed."""

import copy
import json

import pytest

from datasets import row as rows
from deeplab.recipes import protocol
from deeplab.recipes import recipe as recipes
from deeplab.reports import status
from tests.deeplab.reports.replaced import replaced

ROW = recipes.override(recipes.load('deeplabv3plus_mnv2_camvid'), {
    'expected.mean_iou': 60.0, 'expected.tolerance': 1.5, 'expected.source': 'a paper'})


def result(row=ROW, **changes):
    """A run of the whole recipe, a point below the figure; values replaced by path, '__' for the dot."""
    found = {
        'name': 'one', 'scores': {'mean_iou': 59.0, 'pixel_accuracy': 90.0}, 'recipe': recipes.to_dict(row),
        'data': {'dataset': 'camvid', 'split': 'val', 'num_images': 101, 'split_images': 101},
        'protocol': protocol.describe(row),
        'checkpoint': {'path': 'run/model.ckpt-6000', 'global_step': 6000, 'mean_of': []}}
    return replaced(json.loads(json.dumps(found)), **changes)


def test_a_run_of_the_recipe_inside_the_tolerance_reproduces():
    assert status.of(ROW, [result()]) == 'reproduced'
    assert status.of(ROW, []) == 'built'


@pytest.mark.parametrize('score', [58.5, 60.0, 75.0])
def test_a_better_score_is_no_failure(score):
    assert status.of(ROW, [result(scores__mean_iou=score)]) == 'reproduced'


@pytest.mark.parametrize('changes', [
    {'scores__mean_iou': 58.4}, {'checkpoint__global_step': 5999}, {'checkpoint__mean_of': ['a', 'b']},
    {'data__split': 'test'}, {'data__num_images': 100}, {'data__dataset': 'mine'}, {'protocol__flip': True},
    {'protocol__output_stride': 8}, {'protocol__precision': 'float16'}, {'recipe__train__seed': 1},
    {'recipe__data__limit': 7}, {'recipe__loss__weight_decay': 0.0}, {'recipe__init__checkpoint': ''},
    {'recipe__name': 'another'},
])
def test_what_is_changed_reproduces_nothing(changes):
    assert status.of(ROW, [result(**changes)]) == 'built'


@pytest.mark.parametrize('changes', [
    {'protocol__precision': 'float32'}, {'recipe__train__save_steps': 9},
    {'recipe__init__checkpoint': 'weights/mobilenet_v2_0.35_224'}, {'recipe__data__record_dir': 'elsewhere'},
    {'recipe__status': 'ported'},
])
def test_what_changes_no_number_reproduces(changes):
    assert status.of(ROW, [result(**changes)]) == 'reproduced'


@pytest.mark.parametrize('recorded', ['own', 'tensorflow'])
def test_a_row_that_leaves_the_kernels_to_the_machine_is_run_by_either(recorded):
    assert ROW.train.kernels == 'auto'
    assert status.of(ROW, [result(recipe__train__kernels=recorded)]) == 'reproduced'


def test_a_row_that_names_the_kernels_is_run_by_those():
    row = recipes.override(ROW, {'train.kernels': 'tensorflow'})
    assert status.of(row, [result(row)]) == 'reproduced'
    assert status.of(row, [result(row, recipe__train__kernels='own')]) == 'built'


def test_the_precision_that_counts_is_that_of_training():
    """An evaluation's is of the protocol."""
    assert ROW.train.precision == 'bfloat16'
    evaluated = result(protocol__precision='float32', recipe__train__precision='float32')
    assert status.of(ROW, [evaluated]) == 'built'
    assert status.of(ROW, [evaluated | {'training': {'recipe': {'train.precision': 'bfloat16'}}}]) == 'reproduced'


def test_a_row_in_epochs_is_run_whole():
    row = recipes.override(ROW, {'train.epochs': 2})
    steps = 2 * -(-rows.load('camvid').splits['train'].num_images // row.train.batch_size)
    run = recipes.override(row, {'train.max_steps': steps})
    assert status.of(row, [result(run, checkpoint__global_step=steps)]) == 'reproduced'
    assert status.of(row, [result(run, checkpoint__global_step=steps - 1)]) == 'built'


def test_what_nobody_published_is_not_reproduced():
    assert status.of(recipes.override(ROW, {'expected.published': False}), [result()]) == 'built'
    assert status.of(recipes.override(ROW, {'expected.mean_iou': None}), [result()]) == 'built'


RELEASED = {'checkpoint__global_step': 0, 'checkpoint__path': 'deeplabv3_mnv2_dm05_pascal_trainaug/model.ckpt'}


@pytest.mark.parametrize(('changes', 'expected'), [
    ({}, 'measured'), ({'checkpoint__path': 'catalog:anything'}, 'measured'),
    ({'checkpoint__path': 'mobilenetv2_dm05_coco_voc_trainaug/model.ckpt'}, 'measured'),
    ({'checkpoint__path': 'run/model.ckpt-0'}, 'built'), ({'checkpoint__global_step': 5}, 'built'),
    ({'recipe__model__output_stride': 8}, 'built'), ({'data__num_images': 3}, 'built'),
    ({'recipe__train__batch_size': 1}, 'measured'),
])
def test_released_weights_on_the_rows_images_measure(changes, expected):
    assert status.of(ROW, [result(**RELEASED | changes)]) == expected


def test_the_best_of_several_results_counts(monkeypatch):
    assert status.of(ROW, [result(**RELEASED), result()]) == 'reproduced'
    monkeypatch.setattr(status, 'checked', lambda: {ROW.name: ['a recording']})
    assert status.of(ROW, [result(data__num_images=3)]) == 'checked'


def test_statuses_are_explained():
    assert list(status.STATUSES) == ['built', 'checked', 'measured', 'reproduced']


def test_a_published_figure_goes_before_a_run():
    figure = status.figure(ROW, [result()])
    assert (figure.mean_iou, figure.lowest, figure.published, figure.run) == (60.0, 58.5, True, '')
    assert figure.source == 'a paper (not verified)'


def test_a_run_of_the_recipe_is_the_reference_where_nobody_published_one():
    row = recipes.override(ROW, {'expected.mean_iou': None})
    figure = status.figure(row, [result(data__split='test'), result(name='two')])
    assert (figure.mean_iou, figure.pixel_accuracy, figure.published, figure.run) == (59.0, 90.0, False, 'two')
    assert figure.source.startswith('two.json')
    assert status.figure(row, [result(recipe__train__seed=1)]) is None


def test_results_are_not_changed():
    one = result()
    before = copy.deepcopy(one)
    status.of(ROW, [one])
    assert one == before

"""Results: the table, what is worth a warning, the check against the recipe, and files that are never overwritten."""

import contextlib
import dataclasses
import json
import math
import re
import shutil

import numpy as np
import pytest

from datasets import row as rows
from deeplab import metrics
from deeplab.recipes import epochs
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports import cells, differences, measurement, status
from deeplab.reports.scope import Scope
from tests.paths import ROOT

CLASSES = rows.load('synthetic').num_classes


def example(matrix=None, step=7, **expected):
    recipe = recipes.override(Recipe(), {'name': 'a row'} | {f'expected.{k}': v for k, v in expected.items()})
    if matrix is None:
        matrix = np.eye(CLASSES, dtype=np.int64) * 90 + 2  # IoU of every class: 92 / 112
    return measurement.Measurement(
        recipe=recipe, dataset=rows.load('synthetic'), confusion_matrix=matrix,
        num_images=4, split_images=4, list_sha256='ab', checkpoint='x/model.ckpt-7', checkpoint_sha256='0123456789',
        global_step=step, gpus=(), seconds=1.25)


def test_the_table_has_a_line_per_class_and_percent():
    lines = measurement.table(example()).splitlines()
    assert [line.split()[0] for line in lines[1:CLASSES + 1]] == list(rows.load('synthetic').class_names)
    assert lines[1].split()[1:] == [f'{100 * 92 / 112:.2f}', '16.67', '16.67']
    assert any(line.split() == ['mean', 'IoU', '82.14'] for line in lines)


def test_a_class_that_does_not_count_has_no_iou():
    matrix = np.zeros((CLASSES, CLASSES), np.int64)
    matrix[0, 0] = matrix[1, 1] = 5
    measured = example(matrix)
    assert measurement.table(measured).splitlines()[3].split()[:2] == ['square', '-']
    assert measurement.to_dict(measured)['per_class_iou']['square'] is None


@pytest.mark.parametrize(('cells', 'warning'), [
    ({(0, 0): 1000, (1, 0): 5}, 'class disc has IoU 0: it is never right'),
    ({(0, 0): 1000, (0, 1): 5}, 'class disc has IoU 0: it is predicted but not in the truth'),
    ({(0, 0): 991, (1, 1): 9}, '99.10 % of the predictions are background'),
])
def test_what_is_probably_wrong_is_a_warning(cells, warning):
    matrix = np.zeros((CLASSES, CLASSES), np.int64)
    for cell, count in cells.items():
        matrix[cell] = count
    assert warning in list(measurement.warnings(example(matrix)))


def test_nothing_wrong_no_warning():
    assert list(measurement.warnings(example())) == []


@pytest.mark.parametrize(('expected', 'passed', 'lines'), [
    ({'mean_iou': 82.1}, True, 1),
    ({'mean_iou': 82.1, 'pixel_accuracy': 90.2}, True, 2),
    ({'mean_iou': 50.0, 'pixel_accuracy': 50.0}, True, 2),  # better is never outside
    ({'mean_iou': 82.3}, False, 1),
    ({'mean_iou': 82.3, 'tolerance': 0.2}, True, 1),
    ({'mean_iou': 82.1, 'pixel_accuracy': 91.0}, False, 2),
    ({'mean_iou': 82.1, 'num_images': 4}, True, 1),
])
def test_check_compares_percent_with_the_tolerance(expected, passed, lines):
    found, said = measurement.check(example(**expected))
    assert found is passed
    assert len(said) == lines
    assert f'measured 82.1429, expected {expected["mean_iou"]:g}, at most' in said[0]
    assert said[0].endswith('LOWER') != said[0].endswith('): ok')


@pytest.mark.parametrize(('expected', 'message'), [
    ({}, 'has no expected.mean_iou'),
    ({'mean_iou': 82.1, 'num_images': 1449}, 'on 1449 images; split val has 4'),
])
def test_check_refuses_where_there_is_nothing_to_compare(expected, message):
    with pytest.raises(ValueError, match=message):
        measurement.check(example(**expected))


CAMVID = recipes.load('deeplabv3plus_mnv2_camvid')


@pytest.mark.parametrize(('changes', 'number', 'message'), [
    ({}, 101, None), ({'train.precision': 'float32'}, 101, None), ({'evaluation.trimap': (5,)}, 101, None),
    ({'evaluation.limit': 20}, 20, '20 of 101 images were evaluated; the figure is of 101'),
    ({'evaluation.absent': 'zero'}, 101, 'evaluated with absent_classes zero; the row says union'),
    ({'data.eval_split': 'test'}, 101, 'evaluated on camvid test; the figure is of camvid val'),
    ({'data.dataset': 'synthetic'}, 101, 'evaluated on synthetic val; the figure is of camvid val')])
def test_a_figure_is_checked_under_its_own_conditions_only(changes, number, message):
    recipe = recipes.override(CAMVID, changes)
    evaluated = Scope(recipe, rows.load(recipe.data.dataset), number, 101)
    with pytest.raises(ValueError, match=message) if message else contextlib.nullcontext():
        measurement.require_conditions(evaluated, CAMVID)


def test_a_dataset_of_ones_own_is_called_by_its_name(tmp_path):
    shutil.copy(rows.ROWS / 'camvid.toml', tmp_path / 'mine.toml')
    recipe = recipes.override(CAMVID, {'data.dataset': str(tmp_path / 'mine.toml'), 'expected.mean_iou': 67.07})
    mine = rows.load(recipe.data.dataset)
    measured = dataclasses.replace(example(np.eye(mine.num_classes, dtype=np.int64)), recipe=recipe, dataset=mine,
                                   split_images=101, num_images=101)
    measurement.require_conditions(measured.scope, recipe)
    record = measurement.to_dict(measured)
    assert cells.cells(record, {recipe.name: recipe}, []).published == '67.07'
    assert record['recipe']['data']['dataset'] == 'mine.toml'  # without the folders of this machine
    assert measurement.to_dict(example())['recipe']['data']['dataset'] == 'synthetic'


def test_the_file_holds_what_was_measured_and_how(tmp_path):
    measured = example(mean_iou=82.1)
    record = json.loads(measurement.write(measured, tmp_path / 'r.json').read_text())
    assert record['confusion_matrix'] == measured.confusion_matrix.tolist()
    assert recipes.from_dict(record['recipe']) == measured.recipe
    assert record['scores']['mean_iou'] == pytest.approx(100 * 92 / 112)
    assert record['protocol'] == {'output_stride': 16, 'scales': [1.0], 'flip': False, 'fusion': 'mean', 'pad_to': [],
                                  'tiles': None, 'crf': None, 'resize': [0, 0, 0], 'upsampled': 'logits',
                                  'official_compat': False, 'resolution': 'original', 'absent_classes': 'union',
                                  'precision': 'float32', 'first_images': 0}
    assert record['checkpoint'] == {'path': 'x/model.ckpt-7', 'sha256': '0123456789', 'global_step': 7, 'mean_of': []}
    assert record['data'] == {'dataset': 'synthetic', 'split': 'val', 'num_images': 4, 'split_images': 4,
                              'list_sha256': 'ab', 'ignore_label': 255}
    assert record['seconds'] == 1.2 and record['trimap'] is None and record['categories'] is None
    assert record['scores'] == {'unit': 'percent', **{name: 100 * score for name, score in measured.scores.of.items()}}
    assert record['name'] == measured.name and record['date'].endswith('+00:00')
    assert set(record['versions']) == {'deeplab', 'python', 'tensorflow', 'tf-slim', 'numpy', 'pillow'}
    assert record['hardware']['cores'] > 0 and record['hardware']['cpu']
    assert set(record['git']) == {'commit', 'dirty'}


@pytest.mark.parametrize('absent', ['union', 'zero'])
def test_bands_are_scored_by_the_rule_of_the_whole(absent):
    """A band without a pixel has no score."""
    matrix = np.diag([3, 1, 0, 0, 0, 0]) + np.eye(CLASSES, k=1, dtype=np.int64) * [0, 1, 0, 0, 0, 0]
    recipe = recipes.override(Recipe(), {'evaluation.absent': absent, 'evaluation.trimap_around': 'edges'})
    bands = {2: matrix, 1: np.zeros_like(matrix)}
    found = measurement.to_dict(dataclasses.replace(example(), recipe=recipe, trimap=bands))['trimap']
    scores = metrics.scores(matrix, absent).of
    assert found == {'around': 'edges', 'widths': {'1': {'pixels': 0}, '2': {
        'pixels': 5, 'mean_iou': 100 * scores['mean_iou'], 'pixel_accuracy': 100 * scores['pixel_accuracy']}}}


@pytest.mark.parametrize('absent', ['union', 'zero'])
def test_categories_are_scored_by_the_rule_of_the_classes(absent):
    cityscapes = rows.load('cityscapes')
    matrix = np.zeros((19, 19), np.int64)
    matrix[0, 0] = matrix[1, 1] = 4  # road and sidewalk are both flat; five categories are nowhere
    recipe = recipes.override(Recipe(), {'evaluation.absent': absent})
    measured = dataclasses.replace(example(matrix), recipe=recipe, dataset=cityscapes)
    found = measurement.to_dict(measured)['categories']
    assert found['mean_iou'] == pytest.approx({'union': 100, 'zero': 100 / 7}[absent])
    assert found['iou']['sky'] == {'union': None, 'zero': 0}[absent] and found['iou']['flat'] == 100


@pytest.mark.parametrize('path, written', [
    ('/home/somebody/runs/camvid/model.ckpt-7', 'camvid/model.ckpt-7'),
    ('/home/somebody/runs/camvid/best/model.ckpt-7', 'camvid/best/model.ckpt-7'),
    ('/home/somebody/runs/camvid/average/model.ckpt-7', 'camvid/average/model.ckpt-7'),
    ('../weights/mobilenet_v2_0.35_224/model.ckpt', 'mobilenet_v2_0.35_224/model.ckpt'),
    ('runs/../camvid/model.ckpt-7', 'camvid/model.ckpt-7'),
    ('/model.ckpt-7', 'model.ckpt-7'),
    ('catalog:resnet_v1_50', 'catalog:resnet_v1_50'),
    ('', ''),
])
def test_a_result_has_no_path_of_this_machine(path, written):
    recipe = recipes.override(Recipe(), {'data.record_dir': path, 'init.checkpoint': path})
    record = measurement.to_dict(dataclasses.replace(example(), recipe=recipe, checkpoint=path))
    assert record['checkpoint']['path'] == written
    assert (record['recipe']['data']['record_dir'], record['recipe']['init']['checkpoint']) == (written, written)


def test_results_here_have_no_path_of_a_machine():
    results = sorted((ROOT / 'results').glob('*.json'))
    assert results
    for path in results:
        assert not re.search(r'"(/|[A-Z]:|~|[^"]*\.\./)', path.read_text(encoding='utf8')), path


def test_a_result_says_how_many_steps_of_its_row_were_run():
    row = recipes.load('enet_camvid')
    run = recipes.override(row, {'train.max_steps': 7, 'loss.label_weights': (1.0, 2.0)})
    found = measurement.to_dict(dataclasses.replace(example(), recipe=run))['training']
    assert found == {'steps': 7, 'recipe_steps': row.train.max_steps,
                     'differs_from_recipe': [f'train.max_steps: {row.train.max_steps} -> 7'], 'recipe': {}, 'data': []}
    assert measurement.to_dict(example())['training']['recipe_steps'] is None


def test_a_result_says_what_training_had_otherwise_than_evaluation():
    """Fields that decide no weights are those of the evaluation."""
    row = recipes.load('deeplabv3plus_mnv2_camvid')
    trained = recipes.override(row, {'train.kernels': 'own', 'init.checkpoint': '/here/weights/mobilenet_v2_0.35_224',
                                     'data.record_dir': '/there', 'evaluation.flip': True})
    evaluated = recipes.override(row, {'train.precision': 'float32'})
    record = measurement.to_dict(dataclasses.replace(example(), recipe=evaluated, trained=trained))
    assert record['training']['differs_from_recipe'] == []
    assert record['training']['recipe'] == {'train.precision': 'bfloat16', 'train.kernels': 'own',
                                            'init.checkpoint': 'weights/mobilenet_v2_0.35_224'}
    again = differences.trained(json.loads(json.dumps(record)))
    assert differences.of_training(row, again) == [] and again.train.precision == 'bfloat16'


def test_the_steps_of_a_row_in_epochs_are_counted():
    row = recipes.load('deeplabv3plus_resnet101_voc_rishizek')
    steps = math.ceil(row.train.epochs * 10582 / row.train.batch_size)
    run = dataclasses.replace(example(), recipe=epochs.in_steps(row, 10582, row.train.batch_size))
    assert row.train.max_steps == 0 and steps > 20000
    assert measurement.to_dict(run)['training'] == {
        'steps': 7, 'recipe_steps': steps, 'differs_from_recipe': [], 'recipe': {}, 'data': []}


def test_no_result_is_overwritten(tmp_path):
    path = tmp_path / 'new' / 'r.json'
    written = [measurement.write(example(step=step), path) for step in (1, 2, 3)]
    assert [one.name for one in written] == ['r.json', 'r-2.json', 'r-3.json']
    assert [json.loads(one.read_text())['checkpoint']['global_step'] for one in written] == [1, 2, 3]
    assert len(list(path.parent.iterdir())) == 3


def test_the_name_tells_recipe_split_and_step_or_weights():
    assert example().name == 'a_row-val-7'
    assert example(step=None).name == 'a_row-val-01234567'


def test_check_compares_with_a_reference_run_where_nobody_published_a_figure(monkeypatch):
    measured = example(tolerance=5.0)
    run = status.Figure(85.0, None, 5.0, 'a guess', 'one.json', published=False, run='one')
    monkeypatch.setattr(status, 'figure', lambda recipe, results: run if results else None)
    monkeypatch.setattr(measurement, 'shipped', lambda: ('a result',))
    assert measurement.check(measured) == (True, [
        'check mean_iou: measured 82.1429, run one 85, at most 5.0 less (a guess): ok'])

"""Curves from event files, and the table from results."""

import contextlib
import json

import pytest
from PIL import Image

from deeplab.compat import tf
from deeplab.recipes import recipe as recipes
from deeplab.reports import curves, results, table
from tests.paths import ROOT


def write_events(folder, values):
    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(str(folder))
        for step, value in values:
            writer.add_summary(tf.Summary(value=[tf.Summary.Value(tag='loss', simple_value=value)]), step)
        writer.close()


def test_curves_join_restarts_and_survive_a_torn_file(tmp_path):
    write_events(tmp_path, [(1, 5.0), (2, 4.0), (3, 3.5)])
    first, = tmp_path.glob('events*')
    first.write_bytes(first.read_bytes()[:-5])  # killed while writing step 3
    first.rename(tmp_path / 'events.out.tfevents.1')
    write_events(tmp_path, [(2, 4.5), (3, 3.0)])
    assert curves.curves(tmp_path) == {'loss': [(1, 5.0), (2, 4.5), (3, 3.0)]}


def test_draw_writes_a_picture_and_names_a_folder_without_events(tmp_path):
    write_events(tmp_path / 'run', [(1, 5.0), (2, 4.0)])
    curves.draw([tmp_path / 'run'], ['loss', 'mean_iou'], tmp_path / 'curves.png')
    assert Image.open(tmp_path / 'curves.png').size == (1100, 400)
    with pytest.raises(ValueError, match='no event files'):
        curves.draw([tmp_path], ['loss'], tmp_path / 'none.png')


def test_evaluations_of_several_protocols_are_several_curves(tmp_path, monkeypatch):
    """An evaluation of before has no protocol in its folder's name; evaluate.py's own folders are single points."""
    for number, folder in enumerate(('', 'eval', 'eval_training_val_os16', 'eval_training_val_os8', 'eval_val_os8')):
        write_events(tmp_path / 'run' / folder, [(1, number), (2, 4.0)])
    drawn = []
    monkeypatch.setattr(curves.FigureCanvasAgg, 'print_png', lambda canvas, _: drawn.extend(canvas.figure.gca().lines))
    monkeypatch.setattr(curves, 'whole', lambda path: contextlib.nullcontext(path))
    curves.draw([tmp_path / 'run'], ['loss'], tmp_path / 'curves.png')
    assert {line.get_label(): line.get_ydata()[0] for line in drawn} == {
        'run, training batch': 0, 'run, evaluation': 1, 'run, evaluation val_os16': 2, 'run, evaluation val_os8': 3}
    assert len({line.get_linestyle() for line in drawn}) == 4


def camvid(**expected):
    """The CamVid result, and its row alone as the table of recipes, with another figure."""
    row = recipes.override(recipes.load('deeplabv3plus_mnv2_camvid'), {f'expected.{k}': v for k, v in expected.items()})
    one = next(result for result in results.load(ROOT / 'results') if result['recipe']['name'] == row.name)
    return json.loads(json.dumps(one)), {row.name: row}


def line(one, monkeypatch, known):
    monkeypatch.setattr(recipes, 'table', lambda: known)
    monkeypatch.setattr(table, 'shipped', tuple)
    return dict(zip(table.COLUMNS, table.rows([one])[0], strict=True))


def test_every_result_has_a_row_with_its_protocol():
    found = results.load(ROOT / 'results')
    lines = table.rows(found)
    assert len(lines) == len(list((ROOT / 'results').glob('*.json')))
    for cells in lines:
        assert len(cells) == len(table.COLUMNS)
    one = json.loads(json.dumps(found[0]))
    one['protocol'] |= {'output_stride': 8, 'scales': [0.5, 1.0], 'flip': True, 'pad_to': [3, 5],
                        'precision': 'bfloat16'}
    assert table.rows([one])[0][3] == 'OS 8, scales 0.5, 1, flip, padded to 3x5, bfloat16'


def test_a_figure_of_another_split_and_a_short_training_are_told_apart(monkeypatch):
    one, known = camvid(mean_iou=60.0)
    one['checkpoint']['global_step'] = 6000
    shown = line(one, monkeypatch, known)
    assert (shown['published mIoU'], shown['reference mIoU'], shown['trained here']) == ('60.00', '', '6000 steps')
    one['data']['split'], one['checkpoint']['global_step'] = 'test', 5
    shown = line(one, monkeypatch, known)
    assert (shown['published mIoU'], shown['trained here']) == ('60.00 on val', '5 of 6000 steps')
    one['data']['split'], one['data']['num_images'] = 'val', 30
    assert line(one, monkeypatch, known)['published mIoU'] == '60.00 on 101 images'


def test_what_nobody_published_stands_in_a_column_of_its_own(monkeypatch):
    one, known = camvid(mean_iou=60.0, published=False)
    shown = line(one, monkeypatch, known)
    assert (shown['published mIoU'], shown['reference mIoU']) == ('', '60.00')


def test_a_run_of_a_rows_recipe_is_its_reference(monkeypatch):
    one, known = camvid()
    row, = known.values()
    one |= {'recipe': recipes.to_dict(row), 'scores': {'mean_iou': 61.25, 'pixel_accuracy': 90.0}}
    one['checkpoint'] |= {'global_step': row.train.max_steps, 'mean_of': []}
    assert line(one, monkeypatch, known)['reference mIoU'] == 'this run'
    assert line(one, monkeypatch, known)['status'] == 'built'
    monkeypatch.setattr(recipes, 'table', lambda: known)
    monkeypatch.setattr(table, 'shipped', lambda: (one,))
    another = one | {'name': 'another', 'scores': {'mean_iou': 5.0, 'pixel_accuracy': 50.0}}
    (shown,) = table.rows([another])
    assert dict(zip(table.COLUMNS, shown, strict=True))['reference mIoU'] == '61.25'


def test_a_result_is_named_like_its_file(tmp_path):
    """evaluate.py numbers the file of a second evaluation; the name inside is of recipe, split and step alone."""
    inside = {'name': 'a', 'recipe': {'name': 'demo'}, 'data': {'split_images': 3}}
    for name in ('a', 'a-2'):
        (tmp_path / f'{name}.json').write_text(json.dumps(inside))
    assert results.load(tmp_path) == [inside | {'name': 'a-2'}, inside]
    with pytest.raises(ValueError, match='has no results'):
        results.load(tmp_path / 'nothing')


def test_a_result_of_a_row_that_has_another_name_now_is_that_rows(tmp_path, capsys):
    recipes.current_name.cache_clear()
    one = {'recipe': {'name': 'enet_voc_seed' + '001'}, 'data': {'split_images': 3}}
    (tmp_path / 'a.json').write_text(json.dumps(one))
    result, = results.load(tmp_path)
    assert result['recipe']['name'] == 'enet_voc_xlmou'
    assert capsys.readouterr().err.endswith('is called enet_voc_xlmou now\n')


@pytest.mark.parametrize(('dataset', 'split', 'whole'), [
    ('voc2012', 'val', 1449), ('voc2012', 'mine', 224), ('/somewhere/mine.toml', 'val', 224), ('inria', 'val', 224)])
def test_a_result_of_before_is_of_as_many_images_as_its_dataset_says(tmp_path, dataset, split, whole):
    """Tiles aren't counted by what is published, nor does anybody know the size of somebody's own split."""
    data = {'dataset': dataset, 'split': split, 'num_images': 224}
    (tmp_path / 'a.json').write_text(json.dumps({'recipe': {'name': 'demo'}, 'data': data}))
    assert table.load(tmp_path)[0]['data'] == data | {'split_images': whole}


def test_insert_needs_the_markers():
    text = f'a\n{table.BEGIN}old\n{table.END}b\n'
    assert table.insert(text, 'new\n') == f'a\n{table.BEGIN}new\n{table.END}b\n'
    with pytest.raises(ValueError, match='results'):
        table.insert('nothing', 'new')

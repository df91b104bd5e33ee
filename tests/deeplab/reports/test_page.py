"""The HTML page of results, opened in a real browser, and why a number is below its paper's."""

import html
import math
import re
import shutil
import subprocess

import pytest
from PIL import Image

from datasets import row as rows
from deeplab.recipes import epochs, protocol
from deeplab.recipes import recipe as recipes
from deeplab.reports import cells, differences, results, table
from deeplab.reports.page import COLUMNS, page
from tests.deeplab.reports.replaced import replaced
from tests.paths import ROOT

RESULTS = results.load(ROOT / 'results')
CAMVID = next(result for result in RESULTS if result['name'] == 'deeplabv3plus_mnv2_camvid')
# With a figure, which the row hasn't.
ROW = recipes.override(recipes.load('deeplabv3plus_mnv2_camvid'), {
    'expected.mean_iou': 60.0, 'expected.source': 'a paper', 'init.checkpoint': ''})
KNOWN = {**recipes.table(), ROW.name: ROW}
OURS = CAMVID['scores']['mean_iou']
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')
# Without a screen, and without a word to the net.
ALONE = ('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync',
         '--disable-background-networking', '--disable-component-update')


@pytest.fixture(autouse=True)
def _with_a_figure(monkeypatch):
    monkeypatch.setattr(recipes, 'table', lambda: KNOWN)


def changed(**changes):
    """The CamVid result with values replaced."""
    return replaced(CAMVID, **changes)


def opened(path, target='', width=1400):
    """The document after its scripts ran, as a browser has it in a window so wide."""
    if not CHROMIUM:
        pytest.skip('needs chromium or google-chrome')
    return subprocess.run([CHROMIUM, *ALONE, f'--user-data-dir={path.parent / "profile"}', f'--window-size={width},900',
                           '--virtual-time-budget=2000', '--dump-dom', f'{path.as_uri()}#{target}'],
                          check=True, capture_output=True, text=True, timeout=120).stdout


def column(document, identity, name):
    """The shown values of a column, in the order of the rows."""
    found = re.search(rf'<table id="{identity}".*?</table>', document, re.DOTALL)[0]
    heads = re.findall(r'<th scope="col".*?><button>(.*?)</button>', found)
    lines = re.findall(r'<tr>(<td.*?)</tr>', found, re.DOTALL)
    return [re.findall(r'<td data-value="(.*?)">', line)[heads.index(name)] for line in lines]


def test_a_browser_sorts_the_page_and_opens_a_result(tmp_path):
    path = tmp_path / 'results.html'
    path.write_text(page([*RESULTS, changed(scores__mean_iou=7.25, name='low')]))
    for direction, reverse in (('ascending', False), ('descending', True)):
        found = [float(value) for value in column(opened(path, f'results=ours-{direction}'), 'results', 'ours')]
        assert len(found) == len(RESULTS) + 1 and 7.25 in found
        assert found == sorted(found, reverse=reverse)
    names = column(opened(path, 'open=recipe-descending'), 'open', 'recipe')
    assert len(names) > 50 and names == sorted(names, reverse=True)
    document = opened(path, CAMVID['name'])
    assert re.findall(r'<details id="(.*?)" open', document) == [CAMVID['name']]


@pytest.mark.parametrize('width', [500, 1400])
def test_nothing_is_wider_than_the_window(width, tmp_path):
    """Tables and matrices scroll by themselves; 150 classes are ADE20K's."""
    names = [f'a class with a name, {number}' for number in range(150)]
    many = changed(per_class_iou=dict.fromkeys(names, 50.0), confusion_matrix=[[1] * 150] * 150)
    text = page([*RESULTS, many]).replace('<details ', '<details open ')
    path = tmp_path / 'results.html'
    path.write_text(f'{text}<script>document.title = document.documentElement.scrollWidth + " of " + '
                    f'document.documentElement.clientWidth</script>')
    found, visible = re.search('<title>(.*?) of (.*?)</title>', opened(path, width=width)).groups()
    assert found == visible and width - 50 < int(visible) <= width


def test_the_page_loads_nothing_and_believes_nothing(tmp_path):
    evil = '"><script>alert(1)</script>'
    fields = ('name', 'date', 'recipe__title', 'recipe__name', 'recipe__expected__source', 'checkpoint__sha256',
              'checkpoint__path', 'data__dataset', 'hardware__cpu')
    parts = dict.fromkeys(fields, evil)
    text = page([changed(**parts), changed(recipe__name=evil, data__split=evil)])
    assert '<script>alert' not in text and text.count('&lt;script&gt;') > len(parts)
    assert not re.search(r'(src|href)="(?!data:image/png;base64,|#)', text) and 'http' not in text.split('<table')[0]


def test_a_result_has_its_own_pictures(tmp_path):
    """Not those of a result whose name only begins alike."""
    colors = {f'{ROW.name}_0': 'red', f'{ROW.name}_1': 'blue', f'{ROW.name}_ms_0': 'green', ROW.name: 'white'}
    for name, color in colors.items():
        Image.new('RGB', (3, 2), color).save(tmp_path / f'{name}.png')
    found = re.findall('alt="(.*?): image, truth, prediction"', page([CAMVID], tmp_path))
    assert found == [f'{ROW.name}_0', f'{ROW.name}_1']


def shown(result):
    """{column: text} of the page's row of a result."""
    line = re.search(r'<tr>(<td.*?)</tr>', page([result]))[1]
    texts = [re.sub('<.*?>', '', cell) for cell in re.findall(r'<td data-value=".*?">(.*?)</td>', line)]
    return dict(zip(COLUMNS, texts, strict=True))


@pytest.mark.parametrize(('changes', 'expected'), [
    ({}, {'published': '60.00', 'reference': '', 'ours': f'{OURS:.2f}', 'difference': f'{OURS - 60:+z.2f}',
          'protocol': 'OS 16', 'data': 'camvid val, 101 images', 'checkpoint': CAMVID['checkpoint']['sha256'][:8]}),
    ({'scores__mean_iou': 52.93}, {'difference': '-7.07'}),
    ({'data__num_images': 30}, {'published': '60.00 on 101 images', 'difference': '',
                                'data': 'camvid val, 30 of 101 images'}),
    ({'protocol__flip': True}, {'published': '60.00 at OS 16', 'difference': '', 'protocol': 'OS 16, flip'}),
    ({'protocol__flip': True, 'data__split': 'test'}, {'published': '60.00 on val, at OS 16', 'difference': ''}),
    ({'data__split': 'test'}, {'published': '60.00 on val', 'difference': ''}),
    ({'data__dataset': 'mine'}, {'published': '60.00 on camvid val', 'difference': ''}),
    ({'checkpoint__global_step': 0}, {'steps': 'released weights'}),
    ({'recipe__name': 'mine', 'recipe__expected__mean_iou': None}, {'status': '', 'difference': '', 'published': ''}),
    ({'git__dirty': True, 'protocol__precision': 'bfloat16'}, {'commit': CAMVID['git']['commit'][:7] + '+',
                                                     'protocol': 'OS 16, bfloat16'}),
])
def test_the_page_words_a_row_as_the_table_does(changes, expected):
    result = changed(**changes)
    found, line = shown(result), dict(zip(table.COLUMNS, table.rows([result])[0], strict=True))
    assert {column: found[column] for column in expected} == expected
    same = {'recipe': 'recipe', 'status': 'status', 'data': 'data', 'protocol': 'protocol',
            'published': 'published mIoU', 'reference': 'reference mIoU', 'ours': 'measured mIoU',
            'steps': 'trained here', 'commit': 'commit'}
    assert {column: found[column] for column in same} == {column: line[name] for column, name in same.items()}


@pytest.mark.parametrize(('number', 'first', 'same'), [(101, 0, True), (30, 30, False), (30, 0, False)])
def test_a_part_of_a_split_is_not_compared_with_a_figure_of_the_whole(number, first, same):
    """Also where the row doesn't say how many images its figure is of."""
    row = recipes.override(ROW, {'expected.num_images': None})
    result = changed(data__num_images=number, protocol__first_images=first, scores__mean_iou=50.0)
    assert differences.comparable(result, row) is same
    assert cells.cells(result, {ROW.name: row}, []).published == '60.00' + ('' if same else ' on all images')
    told = [line for line in differences.reasons(result, row) if 'images were evaluated' in line]
    assert told == ([] if same else ['30 of 101 images were evaluated; the figure is of all'])


def test_a_figure_of_the_first_images_is_of_the_first_images():
    row = recipes.override(ROW, {'expected.num_images': None, 'evaluation.limit': 30})
    assert differences.comparable(changed(data__num_images=30, protocol__first_images=30), row)
    assert not differences.comparable(changed(data__num_images=20, protocol__first_images=20), row)
    assert not differences.comparable(changed(), row)


def test_a_row_in_epochs_is_told_in_steps():
    row = recipes.load('fc_densenet103_camvid')
    steps = math.ceil(row.train.epochs * rows.load('camvid').splits['train'].num_images / row.train.batch_size)
    assert row.train.max_steps == 0 and steps > 1000
    run = changed(recipe=recipes.to_dict(epochs.in_steps(row, 367, row.train.batch_size)), training__recipe={},
                  scores__mean_iou=5.0)
    assert shown(run | {'checkpoint': CAMVID['checkpoint'] | {'global_step': 7}})['steps'] == f'7 of {steps} steps'
    assert shown(run | {'checkpoint': CAMVID['checkpoint'] | {'global_step': steps}})['steps'] == f'{steps} steps'
    assert not [line for line in differences.reasons(run, differences.in_steps(row)) if 'recipe was changed' in line]


def test_the_command_writes_it(tmp_path, capsys):
    assert table.main([str(ROOT / 'results'), '--html', str(tmp_path / 'a.html')]) == 0
    assert (tmp_path / 'a.html').read_text().count('<details') == len(RESULTS)
    assert capsys.readouterr().out == ''


def low(**changes):
    return changed(scores__mean_iou=50.0, **changes)


@pytest.mark.parametrize(('result', 'reason'), [
    (low(checkpoint__global_step=100), '100 of 6000 steps were run'),
    (low(recipe__train__batch_size=2), 'batch norm was trained on 2 images per replica; below 12'),
    (low(recipe__schedule__learning_rate=1.0), 'the recipe was changed: schedule.learning_rate: 0.05 -> 1.0'),
    (low(data__num_images=30), '30 of 101 images were evaluated; the figure is of 101'),
    (low(data__list_sha256=None), 'the records have no manifest'),
    (low(data__split='test'), 'evaluated on camvid test; the figure is of camvid val'),
    (low(checkpoint__global_step=0, recipe__model__output_stride=8), 'the model was changed: model.output_stride'),
    (low(protocol__output_stride=8), 'evaluated with output_stride 8; the row says 16'),
    (low(protocol__flip=True), 'evaluated with flip True; the row says False'),
    (low(protocol__precision='bfloat16'), 'evaluated in bfloat16'),
    (low(per_class_iou__pole=4.1), 'class pole has 4.1 % IoU'),
])
def test_why_is_mine_lower(result, reason):
    found = differences.reasons(result, ROW)
    assert [line for line in found if line.startswith(reason)], found


def test_released_weights_are_not_blamed_for_a_training():
    found = differences.reasons(low(checkpoint__global_step=0, recipe__train__batch_size=2), ROW)
    assert found and not [line for line in found if 'steps' in line or 'batch' in line or 'began' in line]


def test_a_batch_as_small_as_the_rows_is_no_difference():
    row = recipes.override(ROW, {'train.batch_size': 2})
    assert not [line for line in differences.reasons(low(recipe__train__batch_size=2), row) if 'batch' in line]


def test_an_open_figure_stands_with_its_protocol():
    """Each as the row evaluates, without the precision that it trains in."""
    document = page([])
    found = dict(zip(column(document, 'open', 'recipe'), column(document, 'open', 'protocol'), strict=True))
    assert found['deeplabv3plus_mnv2_camvid'] == 'OS 16' and len({*found.values()}) > 5
    known = recipes.table()
    for name, words in found.items():
        row = recipes.override(known[name], {'train.precision': 'float32'})
        assert html.unescape(words) == protocol.text(protocol.describe(row))


def test_what_isnt_lower_has_no_reasons():
    assert differences.reasons(changed(scores__mean_iou=60.0), ROW) == []
    assert differences.reasons(low(), ROW, lowest=50.0) == []
    assert differences.reasons(changed(recipe__expected__mean_iou=None)) == []


def test_the_initial_weights_are_a_reason():
    row = recipes.override(ROW, {'init.checkpoint': 'catalog:mobilenet_v2_1.0_224'})
    assert any(line.startswith('training began from') and line.endswith('catalog:mobilenet_v2_1.0_224')
               for line in differences.reasons(low(), row))
    same = low(recipe__init__checkpoint='weights/mobilenet_v2_1.0_224')  # fetched to a folder of that name
    assert not [line for line in differences.reasons(same, row) if 'began' in line]

"""The HTML page of results, opened in a real browser, and why a number is below its paper's."""

import copy
import re
import shutil
import subprocess

import pytest
from PIL import Image

from deeplab import recipe as recipes
from deeplab import table, why
from deeplab.page import page
from tests.paths import ROOT

RESULTS = table.load(ROOT / 'results')
CAMVID = next(result for result in RESULTS if result['name'] == 'deeplabv3plus_mnv2_camvid-val-6000')
ROW = recipes.load('deeplabv3plus_mnv2_camvid')
CHROMIUM = shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')


def changed(**changes):
    """The CamVid result with values replaced by path, '__' for the dot."""
    result = copy.deepcopy(CAMVID)
    for path, value in changes.items():
        *parents, name = path.split('__')
        section = result
        for parent in parents:
            section = section[parent]
        section[name] = value
    return result


def opened(path, target=''):
    """The document after its scripts ran, as a browser has it."""
    if not CHROMIUM:
        pytest.skip('needs chromium or google-chrome')
    return subprocess.run([CHROMIUM, '--headless', '--no-sandbox', '--disable-gpu', '--virtual-time-budget=2000',
                           '--dump-dom', f'{path.as_uri()}#{target}'], check=True, capture_output=True, text=True,
                          timeout=120).stdout


def column(document, identity, name):
    """The shown values of a column, in the order of the rows."""
    found = re.search(rf'<table id="{identity}".*?</table>', document, re.DOTALL)[0]
    heads = re.findall(r'<th scope="col".*?><button>(.*?)</button>', found)
    lines = re.findall(r'<tr>(<td.*?)</tr>', found, re.DOTALL)
    return [re.findall(r'<td data-value="(.*?)">', line)[heads.index(name)] for line in lines]


def test_a_browser_sorts_the_page_and_opens_a_result(tmp_path):
    path = tmp_path / 'results.html'
    path.write_text(page([*RESULTS, changed(scores__mean_iou=7.25, name='low')], table.protocol_text))
    for direction, reverse in (('ascending', False), ('descending', True)):
        found = [float(value) for value in column(opened(path, f'results=ours-{direction}'), 'results', 'ours')]
        assert len(found) == len(RESULTS) + 1 and 7.25 in found
        assert found == sorted(found, reverse=reverse)
    names = column(opened(path, 'open=recipe-descending'), 'open', 'recipe')
    assert len(names) > 50 and names == sorted(names, reverse=True)
    document = opened(path, CAMVID['name'])
    assert re.findall(r'<details id="(.*?)" open', document) == [CAMVID['name']]


def test_the_page_loads_nothing_and_believes_nothing(tmp_path):
    Image.new('RGB', (3, 2)).save(tmp_path / f'{ROW.name}_0.png')
    evil = '"><script>alert(1)</script>'
    text = page([changed(name=evil, recipe__title=evil, checkpoint__sha256=evil, data__dataset=evil)],
                table.protocol_text, tmp_path)
    assert '<script>alert' not in text
    assert not re.search(r'(src|href)="(?!data:image/png;base64,|#)', text) and 'http' not in text.split('<table')[0]
    assert text.count('data:image/png;base64,') == 1


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
    (low(data__num_images=30), '30 images were evaluated; the figure is of 101'),
    (low(data__list_sha256=None), 'the records have no manifest'),
    (low(data__split='test'), 'evaluated on camvid test; the figure is of camvid val'),
    (low(protocol__output_stride=8), 'evaluated with output_stride 8; the row says 16'),
    (low(protocol__flip=True), 'evaluated with flip True; the row says False'),
    (low(precision='bfloat16'), 'evaluated in bfloat16'),
    (low(), 'class pole has 4.1 % IoU'),
])
def test_why_is_mine_lower(result, reason):
    found = why.reasons(result, ROW)
    assert [line for line in found if line.startswith(reason)], found


def test_what_isnt_lower_has_no_reasons():
    assert why.reasons(CAMVID, ROW) == []
    assert why.reasons(changed(recipe__expected__mean_iou=None)) == []


def test_the_initial_weights_are_a_reason():
    row = recipes.override(ROW, {'init.checkpoint': 'catalog:mobilenet_v2_0.35_224'})
    assert any(line.startswith('training began from') and line.endswith('catalog:mobilenet_v2_0.35_224')
               for line in why.reasons(low(), row))

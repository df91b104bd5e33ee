"""The README's commands, run in the order in which they stand."""

import re
import shlex
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from PIL import Image

from datasets.records import manifest
from deeplab.reports import results, table
from tests.conftest import TINY
from tests.paths import ROOT

# Training is cut short; everything else runs as it is written.
SHORTER = {'train.py': [*TINY, '--max_steps', '4'], 'datasets.synthetic': ['--num_train', '8', '--num_val', '3']}


def readme_commands(heading):
    """Those of the only bash block below a heading; others need data or weights that we may not ship."""
    text = (ROOT / 'README.md').read_text(encoding='utf8')
    section, = re.findall(rf'^## {heading}\n(.*?)^## ', text, re.DOTALL | re.MULTILINE)
    block, = re.findall(r'```bash\n(.*?)```', section, re.DOTALL)
    lines = block.replace('\\\n', ' ').splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def run_all(commands, folder):
    """Runs them as written, but for SHORTER; returns what each printed."""
    printed = []
    for command in commands:
        assert command[0] == 'python'
        more = next((more for name, more in SHORTER.items() if name in command), [])
        result = subprocess.run([sys.executable, *command[1:], *more], cwd=folder, capture_output=True, text=True,
                                timeout=600)
        assert result.returncode == 0, f'{shlex.join(command)}:\n{result.stdout}\n{result.stderr}'
        printed.append(result.stdout)
    return printed


def git(*arguments, given=''):
    """What git says in the project's root, as lines; `check-ignore` ends with 1 when it has none to say."""
    result = subprocess.run(['git', *arguments], cwd=ROOT, input=given, capture_output=True, text=True)
    assert result.returncode < 2, result.stderr
    return result.stdout.splitlines()


def not_ignored(paths):
    return sorted({*paths} - {*git('check-ignore', '--no-index', '--stdin', given='\n'.join(paths))})


def written(folder):
    """The files below a folder, but for FOLDER, which is the user's; links lead to the project's own."""
    paths = [path.relative_to(folder) for path in folder.rglob('*') if path.is_file() and not path.is_symlink()]
    return [str(path) for path in paths if path.parts[0] != 'FOLDER']


def outputs_of(page):
    """The paths that the commands of a page are told to write, whatever its markup; FOLDER and such are the user's."""
    text = (ROOT / page).read_text(encoding='utf8').replace('\\\n', ' ')
    commands = ' '.join(re.findall('python [^`|\n]*', text))
    found = re.findall(r'--(?:output_dir|model_dir|export_dir|pictures|output|html) (\S+)', commands)
    return [re.sub('[A-Z]{2,}$', 'any', path) for path in found if not re.match(r'[A-Z]{2,}|\.\.\.', path)]


def test_git_ignores_what_the_commands_of_the_docs_write():
    """Some are never run by a test; a folder is asked about a file in it."""
    pages = ['README.md', *(str(path.relative_to(ROOT)) for path in (ROOT / 'docs').glob('*.md'))]
    told = {page: outputs_of(page) for page in pages}
    assert {'mine.toml', 'look', 'records/mine', 'records/camvid', 'runs/demo', 'results.html'} <= {*told['README.md']}
    by_default = ['demo/model/recipe.json', 'runs/camvid/checkpoint', 'pretrained/weights/any/model.ckpt.index',
                  'results/deeplabv3_mnv2_dm05_voc_os16-val-0123abcd.json', 'results/demo-val-1000-2.json']
    paths = by_default + [path if '.' in path else f'{path}/any.png' for paths in told.values() for path in paths]
    assert not_ignored(paths) == []
    assert git('ls-files', '--cached', '--ignored', '--exclude-standard') == []


@pytest.fixture(scope='module')
def workplace(tmp_path_factory):
    """An empty folder from which the project's files can be reached as from its root."""
    folder = tmp_path_factory.mktemp('readme')
    for path in [*ROOT.glob('*.py'), *(ROOT / name for name in ('console', 'datasets', 'deeplab', 'pretrained'))]:
        (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.slow
def test_the_commands_run_as_written(workplace):
    commands = readme_commands('Step by step')
    assert len(commands) >= 7
    run_all(commands, workplace)
    runs = workplace / 'runs/demo'
    assert (runs / 'curves.png').stat().st_size > 0
    assert len(list((runs / 'pictures').glob('*.png'))) == 3
    assert len(list((runs / 'predictions').glob('*_ids.png'))) == 11
    assert list((runs / 'exported').glob('*/saved_model.pb'))
    assert list((runs / 'results').glob('*.json'))
    assert not_ignored(written(workplace)) == []


@pytest.mark.slow
def test_tensorboard_starts_and_lists_the_tags(workplace):
    """Needs the run of the test above; TensorBoard is the part of the stack that setuptools 82 breaks."""
    arguments = ['--logdir', str(workplace / 'runs'), '--port', '0', '--load_fast', 'false']
    server = subprocess.Popen([sys.executable, '-m', 'tensorboard.main', *arguments], stderr=subprocess.PIPE, text=True)
    try:
        address = next(match[0] for line in server.stderr if (match := re.search(r'http://\S+:\d+/', line)))
        with urllib.request.urlopen(address + 'data/plugin/scalars/tags', timeout=60) as reply:
            tags = reply.read().decode()
    finally:
        server.kill()
    for tag in ('mean_iou', 'pixel_accuracy', 'learning_rate', 'losses/cross_entropy', 'losses/weight_decay',
                'images_per_second', 'iou/background'):
        assert f'"{tag}"' in tags, tag


def test_somebodys_folder_becomes_records(workplace):
    """The commands name it FOLDER, and so does the test."""
    random = np.random.RandomState(0)
    for split, count in (('train', 3), ('val', 2)):
        for kind in ('images', 'masks'):
            (workplace / 'FOLDER' / split / kind).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(random.randint(0, 256, (9, 13, 3), np.uint8)).save(
                workplace / f'FOLDER/{split}/images/{number}.png')
            Image.fromarray(random.choice(np.array([0, 1, 2, 255], np.uint8), (9, 13))).save(
                workplace / f'FOLDER/{split}/masks/{number}.png')
    commands = readme_commands('Data')
    assert [command[2] for command in commands] == ['datasets.new', 'datasets.inspect', 'datasets.convert',
                                                    'datasets.verify']
    told = run_all(commands, workplace)
    assert '3 classes, train 3 pairs, val 2 pairs' in told[0]
    for split, count in (('train', 3), ('val', 2)):
        assert Image.open(workplace / f'look/{split}_sheet.png').width > 13
        assert manifest.read(workplace / 'records/mine', split)['num_examples'] == count
    assert {'mine.toml', 'look/train_sheet.png', 'records/mine/val.manifest.json'} <= {*written(workplace)}
    assert not_ignored(written(workplace)) == []


def test_the_table_is_what_the_results_say():
    text = (ROOT / 'README.md').read_text(encoding='utf8')
    committed = git('ls-files', 'results/*.json')  # beside them may lie what somebody has measured since
    shown = [result for result in results.load(ROOT / 'results') if f'results/{result["name"]}.json' in committed]
    assert text == table.insert(text, table.markdown(table.rows(shown)))

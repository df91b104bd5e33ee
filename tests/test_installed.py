"""pip installs the harness, as a wheel and editable; its commands run from a folder that holds nothing of it."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from email.parser import BytesParser
from pathlib import Path

import pytest

import deeplab
from deeplab import entry_points
from tests.conftest import TINY
from tests.paths import ROOT

CODE = ('console/', 'datasets/', 'deeplab/', 'pretrained/')
DATA = ('.toml', '.json', '.css', '.js', '.cc', '.h')
SCRIPTS = tomllib.loads((ROOT / 'pyproject.toml').read_text(encoding='utf8'))['project']['scripts']


def run(*arguments, cwd: Path) -> str:
    """What a command prints; the project's root is on no path of it."""
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    done = subprocess.run([str(a) for a in arguments], cwd=cwd, env=environment, capture_output=True, text=True,
                          timeout=600, check=False)
    assert done.returncode == 0, f'{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}'
    return done.stdout


def tracked() -> list[str]:
    """The project's files, without what git ignores; those that will be added are among them."""
    names = subprocess.run(['git', 'ls-files', '--cached', '--others', '--exclude-standard'], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def environment(folder: Path) -> Path:
    """The Python of a virtual environment that has what this one has: TensorFlow isn't fetched again."""
    venv.create(folder, symlinks=True)
    packages = next(folder.glob('lib/python*/site-packages'))
    have = [path for path in sys.path if path.endswith('site-packages')]
    (packages / 'dependencies.pth').write_text('\n'.join(have) + '\n', encoding='utf8')
    return folder / 'bin' / 'python'


def install(python: Path, *what) -> None:
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '--quiet', '--no-deps', *what, cwd=python.parent)


@pytest.fixture(scope='module')
def tree(tmp_path_factory) -> Path:
    """A copy of the project, because building writes into it."""
    folder = tmp_path_factory.mktemp('tree')
    for name in tracked():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope='module')
def wheel(tree, tmp_path_factory) -> Path:
    """Built from the archive of sources, which is built from the tree; setuptools comes from the package index."""
    folder = tmp_path_factory.mktemp('dist')
    run(sys.executable, '-m', 'build', '--outdir', folder, tree, cwd=folder)
    return next(folder.glob('*.whl'))


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Path:
    """The folder of the commands of an environment that the wheel was installed in."""
    python = environment(tmp_path_factory.mktemp('installed'))
    install(python, wheel)
    return python.parent


@pytest.mark.slow
def test_the_wheel_holds_the_code_and_its_data_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if '.dist-info/' not in name}
    ours = {name for name in tracked() if name.startswith(CODE) and name.endswith(('.py', *DATA))}
    assert len(ours) > 150 and all(any(name.endswith(end) for name in ours) for end in DATA)
    mains = {f'deeplab/mains/{path.name}' for path in ROOT.glob('*.py')}
    assert len(mains) == 5
    # Without a file __init__ the folder of the mains is a package still.
    assert names == ours - {'deeplab/mains/__init__.py'} | mains


@pytest.mark.slow
def test_the_wheel_says_licence_version_and_what_it_needs(wheel):
    archive = zipfile.ZipFile(wheel)
    name, = (name for name in archive.namelist() if name.endswith('/METADATA'))
    said = BytesParser().parsebytes(archive.read(name))
    assert (said['Name'], said['Version']) == (entry_points.DISTRIBUTION, deeplab.__version__)
    assert said['License-Expression'] == 'Apache-2.0'
    needed = [each for each in said.get_all('Requires-Dist') if 'extra' not in each]
    lines = [line for line in (ROOT / 'requirements.txt').read_text(encoding='utf8').splitlines() if line[0] != '#']
    assert [re.split('[<>=]', each)[0] for each in needed] == [re.split('[<>=]', line)[0] for line in lines] != []
    assert said.get_all('Provides-Extra') == ['datasets', 'dev']
    assert 'is named `datasets` too' in said.get_payload()  # what an index shows of it


@pytest.mark.slow
def test_the_chain_runs_from_an_empty_folder(installed, tmp_path):
    def call(command, *arguments):
        return run(installed / command, *arguments, cwd=tmp_path)

    assert call('deeplab-train', '--version').startswith(f'deeplab-harness {deeplab.__version__}, TensorFlow 2.15.1\n')
    assert 'mobilenet_v2' in call('deeplab-train', '--list')
    run(installed / 'python', '-m', 'datasets.synthetic', '--output_dir', 'raw', '--num_train', 8, '--num_val', 2,
        cwd=tmp_path)
    call('deeplab-convert', '--dataset', 'synthetic', '--raw_dir', 'raw', '--output_dir', 'records')
    call('deeplab-inspect', '--record_dir', 'records', '--output_dir', 'look')
    call('deeplab-train', '--recipe', 'demo', '--record_dir', 'records', '--model_dir', 'run', *TINY, '--max_steps', 2)
    call('deeplab-evaluate', '--model_dir', 'run', '--result', 'result.json')
    call('deeplab-infer', '--model_dir', 'run', '--input', 'raw/JPEGImages', '--output_dir', 'predictions')
    call('deeplab-export', '--model_dir', 'run', '--export_dir', 'exported')
    assert len(list((tmp_path / 'predictions').glob('*_ids.png'))) == 10
    assert list((tmp_path / 'exported').glob('*/saved_model.pb'))
    result = (tmp_path / 'result.json').read_text(encoding='utf8')
    assert f'"deeplab": "{deeplab.__version__}"' in result and '"commit": null' in result
    cached = run(installed / 'python', '-c', 'from pretrained import catalog; print(catalog.WEIGHTS)', cwd=tmp_path)
    assert cached.endswith('/deeplab/weights\n') and 'site-packages' not in cached
    packages = next(installed.parent.glob('lib/python*/site-packages'))
    assert not [name for name in ('docs', 'results', 'runs', 'train.py', 'evaluate.py') if (packages / name).exists()]


@pytest.mark.slow
def test_editable_commands_run_the_tree(tree, tmp_path_factory, tmp_path):
    python = environment(tmp_path_factory.mktemp('editable'))
    install(python, '--editable', tree)
    for command in SCRIPTS:
        assert 'usage: ' in run(python.parent / command, '--help', cwd=tmp_path)
    found = run(python, '-c', 'import deeplab.mains.train as main; print(main.__file__)', cwd=tmp_path)
    assert found == f'{tree}/train.py\n'


def test_every_command_is_a_function():
    assert len(SCRIPTS) == 6
    for target in SCRIPTS.values():
        module, _, function = target.partition(':')
        assert module == 'deeplab.entry_points' and callable(getattr(entry_points, function))


def test_another_package_named_datasets_is_told_from_ours(tmp_path, monkeypatch, capsys):
    entry_points.require_our_datasets()
    (tmp_path / 'datasets').mkdir()
    (tmp_path / 'datasets' / '__init__.py').write_text("raise RuntimeError('must not be imported')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'datasets', raising=False)
    assert entry_points.train() == 2
    assert re.search(r'error: the package datasets at .*/datasets/__init__.py is not that of deeplab-harness: .* own',
                     capsys.readouterr().err)

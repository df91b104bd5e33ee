"""Every command that there is: its --help, what it says of a wrong argument or file, and how signals end it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from console import exits
from tests.datasets import drawn
from tests.paths import ROOT
from tools import architecture

# Arguments that can't be right, in a folder that has an empty `folder` and nothing else. Every door gets --no_such too.
WRONG = {
    'train': [['--recipe', 'no_such_recipe'], ['--model_dir', 'a', '--train.max_step', '3'], []],
    'evaluate': [['--model_dir', 'nowhere'], ['--recipe', 'nowhere.toml', '--checkpoint', 'x']],
    'inference': [['--input', 'nowhere.png'], ['--model_dir', 'folder', '--input', 'nowhere.png']],
    'export_model': [['--model_dir', 'nowhere', '--export_dir', 'a']],
    'semantic_segmentation': [[], ['--conf', 'nowhere.json']],
    'datasets.convert': [['--dataset', 'no_such', '--raw_dir', 'folder', '--output_dir', 'a'],
                         ['--dataset', 'camvid', '--raw_dir', 'folder', '--output_dir', 'a'],
                         ['--dataset', 'camvid', '--raw_dir', 'folder', '--output_dir', 'a', '--workers', '0'], []],
    'datasets.inspect': [['--output_dir', 'a'], ['--record_dir', 'folder', '--output_dir', 'a'],
                         ['--dataset', 'camvid', '--raw_dir', 'nowhere', '--output_dir', 'a']],
    'datasets.new': [[], ['nowhere'], ['folder'], ['folder', '--workers', '-1']],
    'datasets.verify': [['--record_dir', 'nowhere'], ['--record_dir', 'folder', '--splits', 'val']],
    'datasets.synthetic': [['--output_dir', 'a', '--num_val', '0'], []],
    'datasets.docs': [],
    'pretrained.fetch': [['no_such_checkpoint'], []],
    'pretrained.convert_vgg16': [['nowhere.ckpt', 'a'], ['nowhere.ckpt', 'folder']],
    'deeplab.command.migration': [],
    'deeplab.reports.table': [['nowhere'], ['folder']],
    'deeplab.reports.curves': [['folder', '--output', 'a.png'], ['nowhere', '--output', 'a.png']],
    'tools.architecture': [],
    'tools.demo': [['--dir', 'a', '--dataset', 'no_such']],
    'tools.mutate': [['nowhere.py', 'test_nowhere.py'], ['folder', 'test_nowhere.py'], []],
    'benchmarks.convert': [['--dataset', 'no_such', '--raw_dir', 'folder', '--split', 'val', '--output', 'a.json'],
                           ['--dataset', 'voc2012', '--raw_dir', 'folder', '--split', 'no', '--output', 'a.json']],
    'benchmarks.performance': [['--only', 'no_such'], ['--official', 'folder'], ['--peers_python', 'nowhere'],
                               ['--record_dir', 'folder']],
    'benchmarks.recompute': [['--backbone', 'no_such']],
}
# It times TensorFlow itself.
IMPORT_TENSORFLOW = {'benchmarks.recompute'}
# Runs a module once per list of arguments, as `python -m` does, and tells what each said.
RUN = """
import contextlib, io, json, runpy, sys, traceback
found = []
for arguments in json.loads(sys.argv[2]):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = [sys.argv[0], *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(MODULE, run_name='__main__')
            status = None
        except SystemExit as end:
            status = end.code
        except BaseException:
            traceback.print_exc()
            status = 'traceback'
    found.append([status, out.getvalue(), err.getvalue(), 'tensorflow' in sys.modules])
print(json.dumps(found))
"""


def doors():
    """The modules that can be run, by their names."""
    paths = [*ROOT.glob('*.py'), *(path for room in architecture.PACKAGES for path in (ROOT / room).rglob('*.py'))]
    return {'.'.join(path.relative_to(ROOT).with_suffix('').parts) for path in paths
            if "if __name__ == '__main__':" in path.read_text(encoding='utf8')}


def test_the_table_has_every_door():
    assert len(WRONG) > 15 and doors() == WRONG.keys()


@pytest.mark.parametrize('door', WRONG)
def test_help_is_help_and_what_is_wrong_is_status_2_and_a_line(tmp_path, door):
    (tmp_path / 'folder').mkdir()
    cases = [['--help'], ['--no_such'], *WRONG[door]]
    before = _pages()
    done = subprocess.run([sys.executable, '-c', f'MODULE = {door!r}\n{RUN}', 'x', json.dumps(cases)], cwd=tmp_path,
                          env=os.environ | {'PYTHONPATH': str(ROOT)}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (status, told, error, tensorflow), *refused = json.loads(done.stdout.splitlines()[-1])
    assert status == 0 and exits.MEANING in told and not error
    assert tensorflow == (door in IMPORT_TENSORFLOW)
    assert len(refused) == len(cases) - 1
    for arguments, (status, _, error, _) in zip(cases[1:], refused, strict=True):
        assert status == exits.TO_MEND, (arguments, status, error)
        assert 'error: ' in (error.splitlines() or done.stderr.splitlines())[-1], (arguments, error)
        assert 'Traceback' not in error + done.stderr, (arguments, error)
    assert sorted(path.name for path in tmp_path.rglob('*')) == ['folder'] and _pages() == before


def _pages():
    return {path: path.stat().st_mtime_ns for path in (ROOT / 'docs').rglob('*')}


LONG = {
    'datasets.synthetic': ['--output_dir', 'out', '--num_train', '99999'],
    'datasets.convert': ['--dataset', 'voc2012', '--raw_dir', 'raw', '--output_dir', 'out', '--workers', '2'],
    'datasets.inspect': ['--dataset', 'voc2012', '--raw_dir', 'raw', '--output_dir', 'out', '--workers', '2'],
}


@pytest.fixture(scope='module')
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp('raw')
    drawn.voc(folder, {'train': 1500})
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize('door', LONG)
@pytest.mark.parametrize('seconds', [0.0, 1.0], ids=['as workers start', 'at work'])
def test_signals_end_a_door_without_traceback_or_processes(tmp_path, raw, door, number, status, seconds):
    (tmp_path / 'raw').symlink_to(raw)
    begun = {'datasets.synthetic': 'out', 'datasets.convert': 'out/.converting'}.get(door)
    # A group of its own, all of which a terminal would tell.
    process = subprocess.Popen([sys.executable, '-m', door, *LONG[door]], cwd=tmp_path, start_new_session=True,
                               env=os.environ | {'PYTHONPATH': str(ROOT)}, stderr=subprocess.PIPE, text=True,
                               preexec_fn=_heed_interrupts)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (
            (tmp_path / begun).exists() if begun else psutil.Process(process.pid).children()):
        time.sleep(0.01)
    time.sleep(seconds)
    os.killpg(process.pid, number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == status, error
    assert 'Traceback' not in error
    deadline = time.monotonic() + 20
    while _group(process.pid) and time.monotonic() < deadline:  # multiprocessing's tracker goes after its parent
        time.sleep(0.05)
    assert not _group(process.pid)
    left = [path for path in (tmp_path / 'out').rglob('*') if path.is_file() and '.converting' not in path.parts]
    assert not [path for path in left if path.suffix in ('.tmp', '.txt', '.tfrecord')]


def _heed_interrupts() -> None:
    """As in a terminal: tests that a shell runs in the background, and all that they start, are deaf to Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _group(leader: int) -> list[int]:
    """The processes of a group that still run."""
    found = []
    for number in psutil.pids():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            if os.getpgid(number) == leader and psutil.Process(number).status() != psutil.STATUS_ZOMBIE:
                found.append(number)
    return found

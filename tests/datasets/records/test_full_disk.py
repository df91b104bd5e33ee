"""A disk that is really full: a file system of two megabytes, mounted where nobody else sees it."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.datasets import drawn
from tests.paths import ROOT

UNSHARE = ['unshare', '--user', '--map-root-user', '--mount']
# Fills the disk but for some pages of 4096 bytes, more each time, and converts again, until that succeeds.
FILL = """
import contextlib, io, json, os, subprocess, sys
from pathlib import Path
from console.exits import guarded
from datasets import convert

raw, disk, workers = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
out, ballast = disk / 'out', disk / 'ballast'

def files():
    return {path.name: path.read_bytes() for path in out.iterdir()}

def run(num_shards):
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
        status = guarded(lambda: convert.main([
            '--dataset', 'voc2012', '--raw_dir', str(raw), '--output_dir', str(out), '--overwrite',
            '--workers', workers, '--num_shards', str(num_shards)]))
    return status, told.getvalue()

if __name__ == '__main__':
    subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk], check=True)
    first, found = run(3), []
    before = files()
    for pages in range(100):
        space = os.statvfs(disk)
        ballast.write_bytes(bytes(space.f_bavail * space.f_frsize - 4096 * pages))
        status, told = run(2)
        found.append({'status': status, 'told': told, 'same': files() == before, 'names': sorted(os.listdir(out))})
        ballast.unlink()
        if status == 0:
            break
    print(json.dumps([first, found]))
"""


@pytest.fixture
def disk(tmp_path):
    """A folder to mount on; a skip where users may not mount, not even for themselves."""
    folder = tmp_path / 'disk'
    folder.mkdir()
    command = [*UNSHARE, 'mount', '-t', 'tmpfs', 'tmpfs', folder]
    if not shutil.which('unshare') or subprocess.run(command, capture_output=True).returncode:
        pytest.skip('a file system of its own needs Linux and user namespaces')
    return folder


@pytest.mark.parametrize('workers', [1, pytest.param(2, marks=pytest.mark.slow)])
def test_wherever_the_disk_gets_full_the_old_records_stay(tmp_path, disk, workers):
    drawn.voc(tmp_path / 'raw', {'train': 5, 'val': 3})
    script = tmp_path / 'fill.py'
    script.write_text(FILL)
    result = subprocess.run([*UNSHARE, sys.executable, script, tmp_path / 'raw', disk, str(workers)], text=True,
                            capture_output=True, env={**os.environ, 'PYTHONPATH': str(ROOT)}, timeout=300)
    assert result.returncode == 0, result.stderr
    first, found = json.loads(result.stdout)
    assert first[0] == 0, first[1]
    *full, enough = found
    assert len(full) > 5  # in a shard, its journal or the manifest, of the first split and of the second
    for one in full:
        assert one['status'] == 2 and one['same'], one
        assert re.search(r'^error: .*No space left on device', one['told'], re.MULTILINE), one['told']
        assert str(disk / 'out') in one['told'], one['told']
    assert enough['status'] == 0
    names = [f'{split}-{shard:05d}-of-00002.tfrecord' for split in ('train', 'val') for shard in range(2)]
    assert enough['names'] == sorted([*names, 'train.manifest.json', 'val.manifest.json'])

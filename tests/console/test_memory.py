import subprocess
import sys

from console import memory
from tests.paths import ROOT

MEGABYTE = 2**20
CHILD = """
from console import memory
before = memory.peak_bytes()
held = b'x' * 2**28
print(before, memory.peak_bytes())
"""


def test_the_peak_is_that_of_the_process_alone():
    held = b'x' * (400 * MEGABYTE)  # what ru_maxrss of the child would begin with
    result = subprocess.run([sys.executable, '-c', CHILD], cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(int, result.stdout.split())
    assert memory.peak_bytes() > len(held)
    assert before < 100 * MEGABYTE < 256 * MEGABYTE <= after < 400 * MEGABYTE


def test_a_status_without_the_line_is_no_error(tmp_path, monkeypatch):
    """As of gVisor, under which containers may run."""
    monkeypatch.setattr(memory, 'STATUS', tmp_path / 'status')
    memory.STATUS.write_text('Name:\tpython\nVmRSS:\t  10 kB\n')
    assert 5 * MEGABYTE < memory.peak_bytes() < 2**40

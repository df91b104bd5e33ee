"""The library of our kernels: built once, found again, and done without where it can't be built."""

import multiprocessing
import os
import stat

import pytest

from deeplab.kernels import build

# Notes that it ran, tells its version, or takes its time to write what it was asked for.
COMPILER = """#!/bin/sh
[ "$1" = --version ] && { echo "compiler $VERSION"; exit; }
echo run >> "$CALLS"
sleep 0.2
[ -z "$FAILS" ] || { echo 'kernel.cc:1: error: no such thing' >&2; exit 1; }
while [ "$1" != -o ]; do shift; done
echo library > "$2"
"""


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A file to which a compiler of ours writes a line at each of its runs; the cache is a folder of its own."""
    path = tmp_path / 'compiler'
    path.write_text(COMPILER)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (tmp_path / 'kernel.cc').write_text('one')
    for name, value in (('CXX', path), ('CALLS', tmp_path / 'calls'), ('XDG_CACHE_HOME', tmp_path / 'cache'),
                        ('VERSION', '1'), ('FAILS', '')):
        monkeypatch.setenv(name, str(value))
    return tmp_path / 'calls'


def runs(calls):
    return len(calls.read_text().splitlines()) if calls.exists() else 0


def test_it_is_built_once_for_source_compiler_and_processor(compiler, tmp_path, monkeypatch):
    source = tmp_path / 'kernel.cc'
    first = build.built(source)
    assert first.read_text() == 'library\n' and build.built(source) == first and runs(compiler) == 1
    found = {first}
    for change in (lambda: source.write_text('two'), lambda: (tmp_path / 'rows.h').write_text('three'),
                   lambda: monkeypatch.setenv('VERSION', '2'),
                   lambda: monkeypatch.setattr(build, '_processor', lambda: 'another')):
        change()
        found.add(build.built(source))
    assert len(found) == runs(compiler) == 5


def test_of_several_processes_one_builds_it(compiler, tmp_path):
    with multiprocessing.get_context('fork').Pool(3) as pool:
        found = pool.map(build.built, [tmp_path / 'kernel.cc'] * 3)
    assert len(set(found)) == runs(compiler) == 1


def test_a_compiler_that_fails_leaves_nothing_behind(compiler, tmp_path, monkeypatch):
    monkeypatch.setenv('FAILS', 'yes')
    with pytest.raises(build.Unavailable, match='error: no such thing'):
        build.built(tmp_path / 'kernel.cc')
    assert not list((tmp_path / 'cache').rglob('*.so*'))


def test_without_a_compiler_it_says_so(tmp_path, monkeypatch):
    monkeypatch.delenv('CXX', raising=False)
    monkeypatch.setenv('PATH', str(tmp_path))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    with pytest.raises(build.Unavailable, match='no compiler g[+][+]; install'):
        build.library.__wrapped__('batch_norm')


def test_a_cache_that_cannot_be_written_is_no_error(compiler, monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', os.devnull)
    with pytest.raises(build.Unavailable, match='null'):
        build.library.__wrapped__('batch_norm')

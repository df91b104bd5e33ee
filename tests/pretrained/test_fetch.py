"""Fetching: trust on first use, nothing that exists is lost, and what to do is said in a line."""

import dataclasses
import hashlib
import json
import shutil
import sys

import pytest

from console.exits import guarded
from pretrained import catalog, fetch
from pretrained.catalog import Entry, Source
from tests.pretrained.archives import FILES, checkpoint, file, packed
from tests.pretrained.server import Site, serving

SOURCE = Source(page='https://example.org', licence='none', verified=False)
PREFIX = 'model/model.ckpt'


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')


@pytest.fixture
def site():
    with serving(Site(checkpoint())) as site:
        yield site


@pytest.fixture
def entry(site):
    return Entry('tiny', SOURCE, f'{site.url}/tiny.tar.gz', scope='model', trained_on='noise', checkpoint=PREFIX)


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_a_checkpoint_is_downloaded_unpacked_and_recorded(entry, tmp_path, site, capsys):
    assert fetch.fetch(entry, tmp_path) == tmp_path / 'tiny' / PREFIX
    assert everything(tmp_path / 'tiny') == FILES
    assert {path.name for path in tmp_path.iterdir()} == {'tiny', 'tiny.json'}
    record = json.loads((tmp_path / 'tiny.json').read_text())
    sha256 = hashlib.sha256(site.content).hexdigest()
    assert record['archive'] == {'file': 'tiny.tar.gz', 'bytes': len(site.content), 'sha256': sha256}
    assert record['files'] == {name: {'bytes': len(content), 'sha256': hashlib.sha256(content).hexdigest()}
                               for name, content in FILES.items()}
    assert f'{sha256}, first seen, now in {tmp_path / "tiny.json"}' in capsys.readouterr().out


def test_a_second_run_does_nothing(entry, tmp_path, site, capsys):
    first = fetch.fetch(entry, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert fetch.fetch(entry, tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before
    assert len(site.ranges) == 1
    assert 'unchanged since' in capsys.readouterr().out


def test_a_later_download_has_to_be_the_first_one_again(entry, tmp_path, site, capsys):
    fetch.fetch(entry, tmp_path)
    shutil.rmtree(tmp_path / 'tiny')
    fetch.fetch(entry, tmp_path)
    assert 'the same as before' in capsys.readouterr().out
    shutil.rmtree(tmp_path / 'tiny')
    site.content = checkpoint({**FILES, PREFIX + '.index': b'other' * 20})
    with pytest.raises(ValueError, match='tiny.tar.gz has .*tiny.json of the first download.*Nothing was unpacked'):
        fetch.fetch(entry, tmp_path)
    assert not (tmp_path / 'tiny').exists()


@pytest.mark.parametrize('known', [{'sha256': '0' * 64}, {'bytes': 1}])
def test_what_the_catalog_knows_is_checked(entry, tmp_path, known):
    with pytest.raises(ValueError, match=f'has {next(iter(known))} .* as the catalog says'):
        fetch.fetch(dataclasses.replace(entry, **known), tmp_path)
    assert not (tmp_path / 'tiny').exists() and not (tmp_path / 'tiny.json').exists()


def test_a_published_hash_that_fits_is_said(entry, tmp_path, site, capsys):
    fetch.fetch(dataclasses.replace(entry, sha256=hashlib.sha256(site.content).hexdigest()), tmp_path)
    assert 'as published' in capsys.readouterr().out


@pytest.mark.parametrize(('change', 'message'), [
    (lambda path: path.write_bytes(b'trained further'), 'was changed since'),
    (lambda path: path.unlink(), 'is missing')])
def test_a_checkpoint_that_was_changed_is_left_alone(entry, tmp_path, site, change, message):
    fetch.fetch(entry, tmp_path)
    change(tmp_path / 'tiny' / f'{PREFIX}.index')
    before = everything(tmp_path)
    with pytest.raises(ValueError, match=f'model.ckpt.index {message}.*move .*tiny away'):
        fetch.fetch(entry, tmp_path)
    assert everything(tmp_path) == before and len(site.ranges) == 1


def test_a_folder_of_somebody_else_is_left_alone(entry, tmp_path, site):
    (tmp_path / 'tiny').mkdir()
    (tmp_path / 'tiny' / 'mine').write_text('mine')
    with pytest.raises(ValueError, match='exists and there is no .*tiny.json'):
        fetch.fetch(entry, tmp_path)
    assert everything(tmp_path) == {'tiny/mine': b'mine'} and not site.ranges


def test_an_archive_put_there_by_hand_is_taken_and_kept(entry, tmp_path, site):
    (tmp_path / 'tiny.tar.gz').write_bytes(site.content)
    fetch.fetch(entry, tmp_path)
    assert everything(tmp_path / 'tiny') == FILES and not site.ranges
    assert (tmp_path / 'tiny.tar.gz').read_bytes() == site.content


def test_unreachable_says_what_to_do_by_hand(entry, tmp_path, site):
    site.status = 404
    with pytest.raises(ValueError) as caught:
        fetch.fetch(entry, tmp_path)
    message = str(caught.value)
    assert '\n' not in message and f'{entry.url}: HTTP 404' in message
    assert f'put it at {tmp_path / "tiny.tar.gz"} and run this again' in message


def test_an_evil_archive_leaves_nothing_but_itself(entry, tmp_path, site):
    site.content = packed(*(file(name, content) for name, content in FILES.items()), file('../evil', b'x'))
    with pytest.raises(ValueError, match='leads out of it'):
        fetch.fetch(entry, tmp_path)
    assert everything(tmp_path) == {'tiny.tar.gz': site.content}
    assert not (tmp_path.parent / 'evil').exists()


def test_a_bomb_is_stopped_in_proportion_to_its_archive(entry, tmp_path, site):
    site.content = packed(file('zeros', bytes(fetch.MARGIN + 40 * 5000)))
    assert len(site.content) < 5000
    with pytest.raises(ValueError, match='unpacks to more than'):
        fetch.fetch(entry, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {'tiny.tar.gz'}


def test_the_checkpoint_is_looked_for_where_the_catalog_is_wrong(entry, tmp_path, capsys):
    got = fetch.fetch(dataclasses.replace(entry, checkpoint='elsewhere/model.ckpt'), tmp_path)
    assert got == tmp_path / 'tiny' / PREFIX
    assert f'in it is {PREFIX}, not elsewhere/model.ckpt' in capsys.readouterr().err


@pytest.mark.parametrize(('files', 'count'), [({'README': b''}, 0), ({'a.ckpt': b'', 'b.ckpt.index': b''}, 2)])
def test_no_checkpoint_or_several_is_an_error(entry, tmp_path, site, files, count):
    site.content = checkpoint(files)
    with pytest.raises(ValueError, match=f'has {count} checkpoints, not one: it holds {", ".join(files)}'):
        fetch.fetch(entry, tmp_path)
    assert not (tmp_path / 'tiny').exists()


def test_what_a_killed_run_left_is_cleared(entry, tmp_path):
    (tmp_path / '.tiny.unpacking').mkdir()
    (tmp_path / '.tiny.unpacking' / 'half').write_text('half')
    fetch.fetch(entry, tmp_path)
    assert everything(tmp_path / 'tiny') == FILES and not (tmp_path / '.tiny.unpacking').exists()


def test_two_at_once_are_refused(entry, tmp_path, site):
    with fetch._alone(tmp_path), pytest.raises(ValueError, match='another fetch is at work'):
        fetch.fetch(entry, tmp_path)
    assert not site.ranges


def test_a_broken_record_is_told(entry, tmp_path):
    (tmp_path / 'tiny.json').write_text('{}')
    with pytest.raises(ValueError, match='tiny.json is not a record of fetch'):
        fetch.fetch(entry, tmp_path)


@pytest.fixture
def run(entry, tmp_path, monkeypatch):
    """The command line on a catalog of one entry: exit status."""
    monkeypatch.setattr(catalog, 'load', lambda: {'tiny': entry})

    def call(*argv):
        monkeypatch.setattr(sys, 'argv', ['fetch', *argv, '--dir', str(tmp_path)])
        return guarded(fetch.main)
    return call


def test_command_fetches_and_says_how_to_go_on(run, tmp_path, capsys):
    assert run('tiny') == 0
    assert f'--init {tmp_path / "tiny" / PREFIX}' in capsys.readouterr().out


def test_command_lists_and_marks_what_is_there(run, capsys):
    assert run('--list') == 0
    assert capsys.readouterr().out.startswith('  tiny')
    run('tiny')
    capsys.readouterr()
    assert run('--list') == 0
    assert capsys.readouterr().out.startswith('* tiny')


def test_command_names_near_checkpoints_before_fetching_any(run, site, capsys):
    assert run('tiny', 'tinny') == 2
    assert "checkpoint of the catalog = 'tinny' is unknown; did you mean tiny?" in capsys.readouterr().err
    assert not site.ranges


def test_command_ends_in_a_line_where_the_folder_cannot_be_written(run, tmp_path, capsys, entry):
    (tmp_path / 'tiny.tar.gz.part').mkdir()
    assert run('tiny') == 2
    assert capsys.readouterr().err.startswith('error: [Errno ')

"""Downloads against a server in this process: complete, cut, resumed, refused."""

import socket

import pytest

from pretrained import download as module
from pretrained.download import ATTEMPTS, Unreachable, download
from tests.pretrained.server import Site, serving

CONTENT = bytes(range(256)) * 40
LIMIT = 1 << 20


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv('no_proxy', '127.0.0.1')


@pytest.fixture
def path(tmp_path):
    return tmp_path / 'a.tar.gz'


def run(site, path, limit=LIMIT):
    download(f'{site.url}/a.tar.gz', path, limit=limit, pause=0)


@pytest.mark.parametrize('says_length', [True, False])
def test_a_complete_download_leaves_the_file_only(path, says_length, capsys):
    with serving(Site(CONTENT, says_length=says_length)) as site:
        run(site, path)
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ['a.tar.gz']
    assert 'a.tar.gz: 0.0' in capsys.readouterr().err
    assert site.ranges == [None]


def test_a_cut_connection_is_taken_up_again(path):
    with serving(Site(CONTENT, cuts=[3000, 1000])) as site:
        run(site, path)
    assert path.read_bytes() == CONTENT
    assert site.ranges == [None, 'bytes=3000-', 'bytes=4000-']


def test_attempts_are_bounded_and_what_came_is_kept_for_the_next_run(path):
    with serving(Site(CONTENT, cuts=[100] * ATTEMPTS)) as site:
        with pytest.raises(Unreachable, match=f'{ATTEMPTS} attempts.*a.tar.gz.part: run again'):
            run(site, path)
        part = path.with_name('a.tar.gz.part')
        assert part.read_bytes() == CONTENT[:100 * ATTEMPTS] and not path.exists()
        run(site, path)
    assert path.read_bytes() == CONTENT and not part.exists()
    assert site.ranges[-1] == f'bytes={100 * ATTEMPTS}-'


def test_a_server_that_does_not_resume_is_read_from_the_start(path, capsys):
    path.with_name('a.tar.gz.part').write_bytes(b'something else')
    with serving(Site(CONTENT, resumes=False)) as site:
        run(site, path)
    assert path.read_bytes() == CONTENT
    assert 'does not resume, starting over' in capsys.readouterr().err


def test_a_part_that_is_complete_is_taken(path):
    path.with_name('a.tar.gz.part').write_bytes(CONTENT)
    with serving(Site(CONTENT)) as site:
        run(site, path)
    assert path.read_bytes() == CONTENT


def test_a_part_longer_than_the_file_starts_over(path, capsys):
    path.with_name('a.tar.gz.part').write_bytes(CONTENT + b'x')
    with serving(Site(CONTENT)) as site:
        run(site, path)
    assert path.read_bytes() == CONTENT
    assert 'not of this file, starting over' in capsys.readouterr().err


@pytest.mark.parametrize('status', [403, 404, 500])
def test_an_error_status_is_told_with_the_url(path, status):
    with serving(Site(CONTENT, status=status)) as site, pytest.raises(Unreachable, match=f'a.tar.gz: HTTP {status}'):
        run(site, path)
    assert not list(path.parent.iterdir())


def test_a_refused_connection_is_told_with_the_url(path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))  # bound, but not listening
        with pytest.raises(Unreachable, match='127.0.0.1:.*refused'):
            download(f'http://127.0.0.1:{taken.getsockname()[1]}/a.tar.gz', path, limit=LIMIT, pause=0)
    assert not list(path.parent.iterdir())


def test_a_server_that_hangs_up_without_an_answer_is_asked_a_bounded_number_of_times(path, capsys, monkeypatch):
    monkeypatch.setattr(module, 'TIMEOUT_SECONDS', 0.05)
    with socket.create_server(('127.0.0.1', 0)) as silent, pytest.raises(Unreachable, match='no answer'):
        download(f'http://127.0.0.1:{silent.getsockname()[1]}/a.tar.gz', path, limit=LIMIT, pause=0)
    assert capsys.readouterr().err.count('attempt') == ATTEMPTS


def test_a_stream_without_end_is_cut_at_the_limit(path):
    with serving(Site(CONTENT, says_length=False)) as site, pytest.raises(ValueError, match='larger than 5000 bytes'):
        run(site, path, limit=5000)
    assert not path.exists()

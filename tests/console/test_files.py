"""Files are there whole or not at all, and errors name them."""

import errno
import os
import stat

import pytest

from console.files import whole, write_whole


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_is_written_takes_the_old_ones_place(tmp_path):
    path = tmp_path / 'new' / 'folder' / 'a.txt'
    write_whole(path, 'é\n')
    write_whole(str(path), b'second')
    assert path.read_bytes() == b'second' and names(path.parent) == ['a.txt']


def test_the_old_one_stays_until_all_is_written(tmp_path):
    path = tmp_path / 'a.txt'
    write_whole(path, 'old')
    with whole(path) as aside:
        aside.write_text('new')
        assert aside.parent == tmp_path and path.read_text() == 'old'
        with whole(path) as another:
            assert another != aside
            another.write_text('another')
    assert path.read_text() == 'new' and names(tmp_path) == ['a.txt']


@pytest.mark.parametrize('failure', [ValueError('no'), KeyboardInterrupt(), SystemExit(143)])
def test_a_failure_leaves_the_old_one_and_nothing_else(tmp_path, failure):
    path = tmp_path / 'a.txt'
    write_whole(path, 'old')
    with pytest.raises(type(failure)), whole(path) as aside:
        aside.write_text('half')
        raise failure
    assert path.read_text() == 'old' and names(tmp_path) == ['a.txt']


@pytest.mark.parametrize(('failure', 'message'), [
    (OSError(errno.ENOSPC, 'No space left on device'), r"\[Errno 28\] No space left on device: '.*/a.txt'$"),
    (OSError('cannot write mode F as PNG'), r'/a.txt: cannot write mode F as PNG$'),
    (FileNotFoundError(errno.ENOENT, 'No such file', '/b.txt'), r"'/b.txt'$"),
])
def test_errors_name_the_file(tmp_path, failure, message):
    with pytest.raises(OSError, match=message) as raised, whole(tmp_path / 'a.txt'):
        raise failure
    assert raised.value.errno == failure.errno and names(tmp_path) == []


def test_an_error_of_the_name_aside_names_the_file(tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match="/file'$"):
        write_whole(tmp_path / 'file' / 'a.txt', 'new')
    with pytest.raises(FileNotFoundError, match="/a.txt'$"), whole(tmp_path / 'a.txt'):
        pass  # nothing was written


@pytest.mark.skipif(not os.path.exists('/dev/full'), reason='Linux has it')
def test_what_is_no_file_is_written_to_as_it_is():
    write_whole('/dev/null', 'text')
    assert stat.S_ISCHR(os.stat('/dev/null').st_mode)
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'$"):
        write_whole('/dev/full', 'text')


def test_a_link_stays_and_its_target_is_replaced(tmp_path):
    (tmp_path / 'a.txt').write_text('old')
    (tmp_path / 'link').symlink_to('a.txt')
    write_whole(tmp_path / 'link', 'new')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'a.txt').read_text() == 'new'

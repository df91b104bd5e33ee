"""Archives that try to get out, or to fill the disk, are refused before they do."""

import gzip
import os
import tarfile

import pytest

from pretrained import unpack as module
from pretrained.unpack import unpack
from tests.pretrained.archives import FILES, checkpoint, file, packed, special

LIMIT = 1 << 16

EVIL = {
    'parent': ([file('../evil', b'x')], 'leads out of it'),
    'hidden parent': ([file('model/../../evil', b'x')], 'leads out of it'),
    'absolute': ([file('/tmp/evil', b'x')], 'leads out of it'),
    'symbolic link': ([special('link', tarfile.SYMTYPE, '/etc'), file('link/evil', b'x')], 'neither a plain file'),
    'hard link': ([file('a', b'x'), special('b', tarfile.LNKTYPE, 'a')], 'neither a plain file'),
    'character device': ([special('null', tarfile.CHRTYPE)], 'neither a plain file'),
    'block device': ([special('disk', tarfile.BLKTYPE)], 'neither a plain file'),
    'pipe': ([special('pipe', tarfile.FIFOTYPE)], 'neither a plain file'),
    'twice': ([file('a', b'x'), file('./a', b'y')], 'occurs twice'),
    'bomb': ([file('zeros', bytes(10 * LIMIT))], f'more than {LIMIT} bytes'),
    'long name': ([file('n' * 10 * LIMIT, b'x')], f'more than {LIMIT} bytes'),
}


@pytest.fixture
def target(tmp_path):
    (tmp_path / 'target').mkdir()
    return tmp_path / 'target'


def run(content, target):
    archive = target.parent / 'a.tar.gz'
    archive.write_bytes(content)
    unpack(archive, target, limit=LIMIT)


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def test_files_and_folders_come_out_as_they_went_in(target):
    run(checkpoint(), target)
    assert everything(target) == FILES
    assert not any(os.access(path, os.X_OK) for path in target.rglob('*') if path.is_file())


@pytest.mark.parametrize(('members', 'message'), EVIL.values(), ids=EVIL)
def test_evil_archives_are_refused(target, members, message):
    assert EVIL
    with pytest.raises(ValueError, match=f'a.tar.gz is not unpacked: .*{message}'):
        run(packed(*members), target)
    outside = {path.name for path in target.parent.iterdir()} - {'target', 'a.tar.gz'}
    assert not outside and not any(path.is_symlink() for path in target.rglob('*'))


def test_too_many_entries_are_refused(target, monkeypatch):
    monkeypatch.setattr(module, 'MAX_MEMBERS', 3)
    with pytest.raises(ValueError, match='more than 3 entries'):
        run(packed(*(file(f'f{i}', b'') for i in range(4))), target)


def damage(content, position):
    return content[:position] + bytes([content[position] ^ 255]) + content[position + 1:]


@pytest.mark.parametrize('content', [
    b'', b'<html>Not found</html>', gzip.compress(b'no tar'), checkpoint()[:-300], checkpoint()[:-4],
    damage(checkpoint(), 200), damage(checkpoint(), -6)],
    ids=['empty', 'html', 'no tar', 'cut', 'cut in the checksum', 'flipped byte', 'wrong checksum'])
def test_a_damaged_archive_is_told(target, content):
    with pytest.raises(ValueError, match='a.tar.gz is damaged or not a .tar.gz'):
        run(content, target)

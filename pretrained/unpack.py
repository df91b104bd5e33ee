"""Unpacks archives that come from elsewhere: nothing outside the target, nothing but files and folders, no bombs."""

import gzip
import io
import tarfile
import zlib
from pathlib import Path, PurePosixPath

CHUNK = 1 << 20
MAX_MEMBERS = 1000


def unpack(archive: Path, target: Path, *, limit: int) -> None:
    """Unpacks a .tar.gz into the empty folder `target`; the caller removes it when this fails.

    Raises:
      ValueError: the archive is damaged, or holds what it shouldn't: paths that are absolute, lead out of it or occur
        twice, links, devices, sparse files, more than MAX_MEMBERS entries or `limit` bytes.
    """
    try:
        with gzip.open(archive) as compressed:
            stream = _Limited(compressed, limit)
            with tarfile.open(fileobj=stream, mode='r|') as tar:
                _extract(tar, target)
            # The checksum stands at the end, which tarfile doesn't read.
            while stream.read(CHUNK):
                pass
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise ValueError(f'{archive} is damaged or not a .tar.gz ({error}); remove it and run again') from error
    except _Refused as error:
        raise ValueError(f'{archive} is not unpacked: {error}') from error


class _Refused(Exception):
    pass


class _Limited(io.BufferedIOBase):
    """Reads up to `limit` bytes and then refuses: headers can hold as much as files."""

    def __init__(self, file: gzip.GzipFile, limit: int):
        self._file, self._limit, self._left = file, limit, limit

    def read(self, size: int | None = -1, /) -> bytes:
        most = self._left + 1
        data = self._file.read(most if size is None or size < 0 else min(size, most))
        self._left -= len(data)
        if self._left < 0:
            raise _Refused(f'it unpacks to more than {self._limit} bytes')
        return data


def _extract(tar: tarfile.TarFile, target: Path) -> None:
    seen: set[PurePosixPath] = set()
    for count, member in enumerate(tar, 1):
        path = PurePosixPath(member.name)
        if count > MAX_MEMBERS:
            raise _Refused(f'it has more than {MAX_MEMBERS} entries')
        if not (member.isreg() or member.isdir()) or member.issparse():
            raise _Refused(f'{member.name!r} is neither a plain file nor a folder')
        if path.is_absolute() or '..' in path.parts:
            raise _Refused(f'{member.name!r} leads out of it')
        if path in seen and not member.isdir():
            raise _Refused(f'{member.name!r} occurs twice')
        seen.add(path)
        tar.extract(member, target, set_attrs=False, filter='data')

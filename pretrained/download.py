"""Downloads a file over HTTP, and goes on where an earlier run, or the connection, was cut."""

import http.client
import re
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

CHUNK = 1 << 20
TIMEOUT_SECONDS = 30
ATTEMPTS = 5
PAUSE_SECONDS = 2.0
STATUS_SECONDS = {True: 0.2, False: 10.0}  # between status lines: on a terminal, elsewhere


class Unreachable(ValueError):
    """The file can't be had from there."""


def download(url: str, path: Path, *, limit: int, pause: float = PAUSE_SECONDS) -> None:
    """Puts the file at `path`; until it is complete it is `path` + '.part', from which the next call goes on.

    A cut connection is taken up again, up to ATTEMPTS in all.

    Raises:
      Unreachable: it can't be had; the message has the URL and the reason.
      ValueError: it is larger than `limit` bytes.
    """
    part = path.with_name(path.name + '.part')
    try:
        for attempt in range(1, ATTEMPTS + 1):
            with part.open('ab') as file:
                reason = _continue(url, file, limit)
            if reason is None:
                part.replace(path)
                return
            print(f'{url}: {reason}; attempt {attempt} of {ATTEMPTS}', file=sys.stderr)
            time.sleep(pause)
    finally:
        if part.exists() and not part.stat().st_size:
            part.unlink()
    raise Unreachable(f'{url}: {reason}. {ATTEMPTS} attempts; what came is kept in {part}: run again to go on')


def _continue(url: str, file: BinaryIO, limit: int) -> str | None:
    """Appends what is missing; None when the file is complete, else why it isn't."""
    have = file.seek(0, 2)
    request = urllib.request.Request(url, headers={'Range': f'bytes={have}-'} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and have:
            return _without_rest(error, file, have)
        raise Unreachable(f'{url}: HTTP {error.code} {error.reason}') from error
    except urllib.error.URLError as error:
        raise Unreachable(f'{url}: {error.reason}') from error
    except (OSError, http.client.HTTPException) as error:
        return f'no answer ({error})'
    with response:
        return _append(response, file, limit)


def _without_rest(error: urllib.error.HTTPError, file: BinaryIO, have: int) -> str | None:
    """The server has nothing beyond what we have: that is all of it, or belongs to another file."""
    total = re.fullmatch(r'bytes \*/(\d+)', error.headers.get('Content-Range', ''))
    if total and int(total[1]) == have:
        return None
    file.truncate(0)
    return f'the {have} bytes of an earlier run are not of this file, starting over'


def _append(response: http.client.HTTPResponse, file: BinaryIO, limit: int) -> str | None:
    have = file.seek(0, 2)
    if have and not _resumes(response, have):
        print(f'{response.url}: the server does not resume, starting over', file=sys.stderr)
        file.truncate(0)
        have = 0
    length = response.headers.get('Content-Length')
    total = have + int(length) if length else None
    status = _Status(response.url.rpartition('/')[2], have, total)
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            return f'connection lost ({error})'
        if not chunk:
            break
        have += len(chunk)
        if have > limit:
            raise ValueError(f'{response.url}: larger than {limit} bytes, which no checkpoint of the catalog is')
        file.write(chunk)
        status.show(have)
    status.close(have)
    return None if total in (None, have) else f'connection lost after {have} of {total} bytes'


def _resumes(response: http.client.HTTPResponse, have: int) -> bool:
    start = re.match(r'bytes (\d+)-', response.headers.get('Content-Range', ''))
    return response.status == http.client.PARTIAL_CONTENT and start is not None and int(start[1]) == have


class _Status:
    """Megabytes, share and rate: one rewritten line on a terminal, a line now and then elsewhere."""

    def __init__(self, label: str, first: int, total: int | None):
        self._label, self._first, self._total = label, first, total
        self._terminal = sys.stderr.isatty()
        self._start = self._last = time.monotonic()

    def show(self, have: int) -> None:
        if time.monotonic() - self._last >= STATUS_SECONDS[self._terminal]:
            self._write(have)

    def close(self, have: int) -> None:
        self._write(have)
        if self._terminal:
            print(file=sys.stderr)

    def _write(self, have: int) -> None:
        self._last = time.monotonic()
        rate = (have - self._first) / 1e6 / max(self._last - self._start, 1e-3)
        share = f' of {self._total / 1e6:.1f} MB, {100 * have / self._total:.0f} %' if self._total else ' MB'
        line = f'{self._label}: {have / 1e6:.1f}{share}, {rate:.1f} MB/s'
        print(f'\r{line:<79}' if self._terminal else line, end='' if self._terminal else '\n', file=sys.stderr,
              flush=True)

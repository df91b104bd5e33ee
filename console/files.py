"""Files that are there whole or not at all: written aside, then renamed."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Gives a name beside `path` to write to; it becomes `path` when the block ends, and is removed when that fails.

    At any moment the old file or the new one is there. Missing folders are made; a link's target is replaced, not the
    link; what is no file, such as /dev/stdout, is written to as it is. OSErrors name `path`, also those that name no
    file: of a full disk when a file is closed, and of Pillow.
    """
    path = Path(path)
    target = Path(os.path.realpath(path))
    aside = target.with_name(f'{target.name}.{secrets.token_hex(4)}.tmp')
    if target.exists() and not target.is_file():
        aside = target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
        if aside is not target:
            aside.replace(target)
    except OSError as error:
        if error.filename and str(error.filename) not in (str(aside), str(target)):
            raise  # of another file, such as the one that is copied
        if error.errno is None:
            raise OSError(f'{path}: {error}') from error
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        if aside is not target:
            aside.unlink(missing_ok=True)


def write_whole(path: str | Path, data: str | bytes) -> None:
    """`whole` for text, as UTF-8, or bytes that are at hand."""
    with whole(path) as aside:
        aside.write_bytes(data.encode() if isinstance(data, str) else data)

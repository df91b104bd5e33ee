"""Where the program stands: in a checkout, with docs, results and a commit, or installed without them."""

import os
import subprocess
from pathlib import Path
from typing import TypedDict

FOLDER = Path(__file__).resolve().parents[1]  # a checkout's root, or site-packages
ROOT = FOLDER if (FOLDER / 'pyproject.toml').is_file() else None


def required() -> Path:
    """The checkout's root, for what writes docs and pictures of the tree itself.

    Raises:
      ValueError: this is an installation, which has none.
    """
    if ROOT is None:
        raise ValueError(f'{FOLDER} is an installation, which has no docs to write: run this in a checkout')
    return ROOT


def cache(name: str) -> Path:
    """Where an installation keeps what it fetched: $XDG_CACHE_HOME/deeplab/NAME, by default below ~/.cache."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'deeplab' / name


class Git(TypedDict):
    """A checkout's commit, and whether tracked files differ from it; None where there is none."""

    commit: str | None
    dirty: bool | None


def git() -> Git:
    """Commit of this checkout and whether its files differ from it; None outside a repository of our own.

    Untracked files don't count: code is reached by a tracked import or table, and what commands write is no change.
    """
    def ask(*arguments: str) -> str:
        return subprocess.run(['git', '-C', str(ROOT), *arguments], check=True, capture_output=True, text=True).stdout

    unknown: Git = {'commit': None, 'dirty': None}
    if ROOT is None or not (ROOT / '.git').exists():  # a repository around site-packages is not ours
        return unknown
    try:
        changed = ask('status', '--porcelain', '--untracked-files=no')
        return {'commit': ask('rev-parse', 'HEAD').strip(), 'dirty': bool(changed.strip())}
    except (OSError, subprocess.CalledProcessError):
        return unknown

"""Where the material beside the project lives; it is absent on a user's machine, and tests that need it skip."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / 'shared'


def shared(*parts: str) -> Path:
    """A path below ../shared, or a skip of the calling test that names what is missing."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f'{path} is not on this machine')
    return path

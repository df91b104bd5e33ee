import functools

import pytest

from datasets import row as rows
from deeplab.command import aliases
from deeplab.recipes import recipe as recipes


@pytest.fixture(scope='package')
def tables_read_once():
    """What a command reads from files, which hundreds of commands in one process needn't."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((recipes, 'table'), (aliases, 'load'), (rows, 'load')):
            patch.setattr(module, name, functools.cache(getattr(module, name)))
        yield

"""Every option has a line of meaning, and no line speaks of an option that is gone."""

import pytest

from deeplab import options
from deeplab.backbones import BACKBONES
from deeplab.nets import NETS

TABLES = {'backbone': BACKBONES, 'net': NETS}


@pytest.mark.parametrize(('kind', 'name'), [(kind, name) for kind, table in TABLES.items() for name in table])
def test_every_option_is_explained(kind, name):
    check_meanings(TABLES[kind][name].build)


def check_meanings(build):
    meanings = options.meanings(build)
    assert list(meanings) == list(options.signature(build)), 'the section Options: of its docstring lists them in order'
    assert not [option for option, meaning in meanings.items() if len(meaning.split()) < 3]


def test_there_are_options_to_explain():
    counts = {kind: sum(len(options.meanings(part.build)) for part in table.values())
              for kind, table in TABLES.items()}
    assert counts['backbone'] > 20 and counts['net'] > 80

"""Every option has a line of meaning, and no line speaks of an option that is gone."""

import pytest

from deeplab import options
from deeplab.backbones import BACKBONES


@pytest.mark.parametrize('name', BACKBONES)
def test_every_option_of_a_backbone_is_explained(name):
    build = BACKBONES[name].build
    meanings = options.meanings(build)
    assert list(meanings) == list(options.signature(build)), 'the section Options: of its docstring lists them in order'
    assert all(meanings.values())


def test_there_are_options_to_explain():
    assert sum(len(options.meanings(backbone.build)) for backbone in BACKBONES.values()) > 20

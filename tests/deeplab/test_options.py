"""Options and their meanings are found behind partials and wrappers."""

import dataclasses
import functools

from deeplab import options


def walker(rows, images, *, training, rate=1, grid=None, **_):
    """A walker.

    Options:
      rate: of every layer
      grid: factors of the rates: of the last
        block's units; None: all
        1

    Raises:
      ValueError: never
    """


@functools.wraps(functools.partial(walker, 'rows'))
def wrapped(images, **kwargs):
    """Another docstring."""


def bare():
    """A function without options."""


MEANINGS = {'rate': 'of every layer', 'grid': "factors of the rates: of the last block's units; None: all 1"}


def test_options_are_the_keyword_only_arguments_with_a_default():
    assert options.signature(walker) == options.signature(wrapped) == {'rate': 1, 'grid': None}
    assert options.signature(functools.partial(walker, grid=(1, 2))) == {'rate': 1, 'grid': (1, 2)}
    assert options.signature(bare) == {}


def test_a_meaning_is_a_line_and_what_is_indented_under_it():
    for function in (walker, functools.partial(walker, 'rows'), wrapped, functools.partial(wrapped, rate=2)):
        assert options.meanings(function) == MEANINGS
    assert options.meanings(bare) == options.meanings(lambda: None) == {}


def test_shared_options_come_after_the_own_ones_with_their_meanings():
    @dataclasses.dataclass(kw_only=True)
    class Shared:
        """What several have.

        Options:
          width: of the layers
        """

        width: int = 3

    @options.takes_options_of(Shared)
    def net(images, *, training, depth=2, **rest):
        """A net.

        Options:
          depth: how many layers
        """
        return training, depth, Shared(**rest).width

    assert options.signature(net) == {'depth': 2, 'width': 3}
    assert list(options.meanings(net).items()) == [('depth', 'how many layers'), ('width', 'of the layers')]
    assert net(0, training=True, width=4) == (True, 2, 4)

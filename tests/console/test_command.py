"""What parsers of command lines share."""

import pytest

from console import exits
from console.command import Parser, positive, renamed


def test_flags_are_taken_by_their_former_names_which_no_help_shows():
    parser = Parser('some.door', 'What it does.', formerly={'--data_dir': '--raw_dir'})
    parser.add_argument('--raw_dir', required=True)
    for arguments in (['--raw_dir', 'a'], ['--data_dir', 'a'], ['--data_dir=a']):
        assert parser.parse_args(arguments).raw_dir == 'a'
    told = parser.format_help()
    assert 'data_dir' not in told and told.endswith(exits.MEANING + '\n')


def test_values_are_left_alone():
    assert renamed(['--a=--b', 'b', '--b=--b'], {'--b': '--c'}) == ['--a=--b', 'b', '--c=--b']


@pytest.mark.parametrize('text', ['0', '-1', 'x', '1.5'])
def test_positive_is_an_integer_above_0(text):
    assert positive('3') == 3
    with pytest.raises(ValueError):
        positive(text)

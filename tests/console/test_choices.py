"""What an error says when a name is unknown."""

import re

import pytest

from console.choices import FEW, MANY, choose, nearest, refuse_unknown

COLORS = {'red': 1, 'green': 2, 'blue': 3}


def test_a_mapping_gives_its_value_and_other_choices_the_name():
    assert choose('color', 'green', COLORS) == 2
    assert choose('color', 'green', tuple(COLORS)) == 'green'
    assert choose('stride', 8, (8, 16)) == 8


@pytest.mark.parametrize(('name', 'choices', 'message'), [
    ('blu', COLORS, "color = 'blu' is unknown; did you mean blue? choices: red, green, blue"),
    ('gren', COLORS, "color = 'gren' is unknown; did you mean green or red? choices: red, green, blue"),
    ('9', COLORS, "color = '9' is unknown; choices: red, green, blue"),
    (9, (8, 16), 'color = 9 is unknown; choices: 8, 16'),
    (['red'], COLORS, "color = ['red'] is unknown; did you mean red? choices: red, green, blue"),
    ({}, COLORS, 'color = {} is unknown; choices: red, green, blue'),
    ('red', (), "color = 'red' is unknown; choices: none"),
])
def test_an_unknown_name_is_answered_with_the_near_ones_or_with_all(name, choices, message):
    with pytest.raises(ValueError, match=f'^{re.escape(message)}$'):
        choose('color', name, choices)


def test_a_hint_stands_behind():
    with pytest.raises(ValueError, match=r'did you mean red\? choices: red, green, blue \(or the path of a file\)$'):
        choose('color', 'rad', COLORS, hint='or the path of a file')


def test_many_choices_are_not_all_printed():
    names = [f'{i}' * 40 for i in range(MANY + 1)]
    said = nearest('zzz', names, 'ask --list')
    assert said == f'choices: {", ".join(names[:FEW])} and {MANY + 1 - FEW} more (ask --list)'
    assert nearest(names[0][:-1], names, 'ask --list').endswith('? (ask --list)')


def test_what_is_quoted_is_short():
    with pytest.raises(ValueError, match='is unknown') as error:
        choose('color', 'x' * 5000, COLORS)
    assert len(str(error.value)) < 200


def test_unknown_keys_are_refused():
    refuse_unknown('key', COLORS, COLORS)
    with pytest.raises(ValueError, match=r"^unknown key 'bleu'; did you mean blue\? choices: red, green, blue$"):
        refuse_unknown('key', ['red', 'bleu'], COLORS)

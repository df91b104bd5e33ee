"""The mutants of a small module, and which of them its tests let live."""

import ast
import sys
import textwrap
from pathlib import Path

import pytest

from tools import mutate

MODULE = textwrap.dedent('''
    """2 + 2"""
    LIMIT: int = 3

    def area(width: int, height: int = 1, *, doubled: bool = False) -> int:
        if width < 0 or height < 0:
            raise ValueError(-1)
        return width * height * (2 if doubled else 1)

    def largest(sides: list[int]) -> int:
        print(max(sides, default=0))
        return max(sides, default=0)
''')


def changes():
    return [(mutant.was, mutant.now) for mutant in mutate.mutants(MODULE)]


def test_a_mutant_has_one_place_changed():
    found = list(mutate.mutants(MODULE))
    assert len(found) > 15
    whole = ast.unparse(ast.parse(MODULE)).splitlines()
    for mutant in found:
        lines = mutant.source.splitlines()
        assert len(lines) == len(whole) and sum(map(str.__ne__, lines, whole)) == 1
    assert len({mutant.source for mutant in found}) == len(found)


@pytest.mark.parametrize('change', [
    ('width * height', 'width / height'), ('width < 0', 'width <= 0'), ('width < 0 or height < 0',
                                                                       'width < 0 and height < 0'),
    ('False', 'True'), ('2', '3'), ('2 if doubled else 1', '2 if not doubled else 1'), ('max', 'min'),
    ('max(sides, default=0)', 'max(sides)'), ('print(max(sides, default=0))', 'pass')])
def test_a_module_is_broken_in_every_way(change):
    assert change in changes()


def test_words_for_the_reader_are_left_alone():
    assert not {'3', '-1', 'int', '2 + 2'} & {was for was, _ in changes()}


@pytest.mark.slow
def test_what_no_test_sees_survives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path('shape.py').write_text('def area(width, height):\n    return width * height\n')
    Path('test_shape.py').write_text('import shape\n\ndef test_area():\n    assert shape.area(1, 1) == 1\n')
    assert [mutant.now for mutant in mutate.survivors(Path('shape.py'), ['test_shape.py'], 60)] == ['width / height']
    Path('test_shape.py').write_text('import shape\n\ndef test_area():\n    assert shape.area(2, 3) == 6\n')
    assert not list(mutate.survivors(Path('shape.py'), ['test_shape.py'], 60))
    Path('test_shape.py').write_text('def test_area():\n    assert False\n')
    with pytest.raises(ValueError, match=r'test_shape\.py: these fail, or take over 60 s, with shape\.py as it is'):
        list(mutate.survivors(Path('shape.py'), ['test_shape.py'], 60))
    assert 'shape' not in sys.modules

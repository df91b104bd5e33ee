"""Imports point one way, down the ordered list of rooms in tools/architecture.py."""

import ast
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tools import architecture
from tools.architecture import ORDER, PACKAGES

# What runs before, or without, TensorFlow's seconds and megabytes.
WITHOUT_TENSORFLOW = ('console', 'deeplab.recipes', 'deeplab.command.flags', 'datasets.raw', 'datasets.row',
                      'datasets.guess', 'datasets.records.tfrecord', 'datasets.records.manifest',
                      'datasets.input.index', 'datasets.convert', 'datasets.new', 'datasets.synthetic',
                      'datasets.docs')


def modules():
    """{dotted name: dotted names of ours and of others that it imports} of everything that isn't a test."""
    return {name: set(imports(ast.parse(path.read_text(encoding='utf8'))))
            for name, path in architecture.modules().items()}


def imports(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def below(name, parent):
    return name == parent or name.startswith(parent + '.')


def line(name):
    """Where a module stands in ORDER; None for packages that only hold rooms."""
    return next((i for i, rooms in enumerate(ORDER) if any(below(name, room) for room in rooms)), None)


def test_every_module_has_a_place():
    found = modules()
    assert len(found) > 100
    assert {name for name in found if line(name) is None} == {'deeplab', 'datasets'}
    for room in (room for rooms in ORDER for room in rooms):
        assert any(below(name, room) for name in found), f'{room} is gone'


def test_imports_point_down():
    found = modules()
    wrong = sorted({f'{name} imports {imported}' for name, names in found.items() for imported in names
                    if imported in found and line(imported) is not None and line(name) is not None
                    and line(imported) < line(name)})
    assert not wrong, '\n'.join(wrong)


def test_no_room_imports_a_room_that_imports_it():
    found = modules()
    room = {name: next((each for rooms in ORDER for each in rooms if below(name, each)), name) for name in found}
    arrows = {(room[name], room[imported]) for name, names in found.items() for imported in names
              if imported in found and room[name] != room[imported]}
    assert arrows
    assert not sorted((a, b) for a, b in arrows if (b, a) in arrows)


def test_the_data_and_the_weights_know_no_model():
    wrong = [f'{name} imports {imported}' for name, names in modules().items() for imported in names
             if below(name, 'datasets') and (below(imported, 'deeplab') or below(imported, 'pretrained'))
             or below(name, 'pretrained') and below(imported, 'deeplab')
             or below(name, 'console') and any(below(imported, package) for package in PACKAGES[1:])]
    assert not wrong


def test_the_tf1_api_has_one_door():
    wrong = [f'{name} imports {imported}' for name, names in modules().items() for imported in names
             if name.startswith('deeplab') and name != 'deeplab.compat'
             and (below(imported, 'tensorflow') or below(imported, 'tf_slim'))]
    assert not wrong


@pytest.mark.parametrize('room', WITHOUT_TENSORFLOW)
def test_what_runs_without_tensorflow(room):
    names = [name for name in modules() if below(name, room)]
    assert names
    code = f'import sys, {", ".join(names)}; print("tensorflow" in sys.modules)'
    done = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == 'False\n'


def test_nothing_loads_code_from_files():
    """Keras files and pickles run what they hold; archives are unpacked by one function only."""
    sources = {path: path.read_text(encoding='utf8') for package in PACKAGES
               for path in (ROOT / package).rglob('*.py')}
    assert sources
    for words in ('load_model', 'pickle.', 'import pickle', 'allow_pickle=True', 'get_file', '.ignore_errors('):
        assert not [path for path, text in sources.items() if words in text], words

"""CONTRIBUTING.md's numbers, measured: how long files, functions and mains are; and who reads flags and tables."""

import ast
import re

import pytest

from tests.contracts.test_imports import imports, line
from tests.paths import ROOT
from tools import architecture

SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding='utf8')
           for folder in ('.', *architecture.PACKAGES, 'tests')
           for path in (ROOT / folder).glob('*.py' if folder == '.' else '**/*.py')}
MODULES = {name: path.read_text(encoding='utf8') for name, path in architecture.modules().items()}
MAINS = ('train.py', 'evaluate.py', 'inference.py', 'export_model.py', 'semantic_segmentation.py')


def lines(path):
    return len(SOURCES[path].splitlines())


def test_files_have_up_to_300_lines():
    assert len(SOURCES) > 200 and set(MAINS) < set(SOURCES)
    assert not {path: lines(path) for path in SOURCES if lines(path) > 300}


def test_functions_have_up_to_60_lines():
    found = {f'{path}: {node.name}': node.end_lineno - node.lineno + 1
             for path, text in SOURCES.items() for node in ast.walk(ast.parse(text))
             if isinstance(node, ast.FunctionDef)}
    assert len(found) > 1500
    assert not {name: length for name, length in found.items() if length > 60}


@pytest.mark.parametrize('main', MAINS)
def test_mains_have_up_to_80_lines(main):
    assert 10 < lines(main) <= 80


def test_no_module_is_called_utils():
    assert not [path for path in SOURCES if 'util' in path]


def test_flags_are_read_by_the_parsers_of_commands_alone():
    """Whatever asks for a parser is a command with a `main`; every other module takes values."""
    readers = {name: text for name, text in MODULES.items() if 'sys.argv' in text or
               {'argparse', 'console.command.Parser'} & set(imports(ast.parse(text)))}
    parsers = {'console.command', 'deeplab.command.flags'}
    assert parsers < set(readers) and len(readers) > 10
    assert not [name for name, text in readers.items() if name not in parsers and '\ndef main(' not in text]


def test_nets_and_backbones_are_looked_up_in_run_alone():
    """Below it nobody sees the tables; above it, what lists them does."""
    tables = {'deeplab.nets': 'deeplab.nets.NETS', 'deeplab.backbones': 'deeplab.backbones.BACKBONES'}
    seen = {name: set(imports(ast.parse(text))) & set(tables.values()) for name, text in MODULES.items()}
    assert seen['deeplab.run'] == set(tables.values())
    assert not [name for name, found in seen.items() if found and line(name) is not None
                and line(name) > line('deeplab.run')]


def test_contributing_names_files_that_there_are():
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf8')
    named = re.findall(r'`([\w./-]+/[\w./-]+\.\w+|[\w-]+\.(?:py|toml))`', text)
    assert len(named) > 5
    assert not [name for name in named if not any((folder / name).exists() for folder in (ROOT, ROOT / 'deeplab'))]

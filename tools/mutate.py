"""Breaks a module in one place after the other, and lists the breakages that its tests don't see.

    python -m tools.mutate deeplab/losses.py tests/deeplab/test_losses.py ...

Operators, comparisons, conditions, numbers, named functions and arguments are changed one at a time. Each mutant runs
the tests in a process forked from one that has imported TensorFlow, which is what makes thousands of them affordable;
a test that starts a process of its own therefore sees the module as it is. A survivor is a line that no test holds, or
one whose change doesn't matter: docs/mutation.md says which.
"""

import ast
import contextlib
import functools
import importlib
import importlib.machinery
import importlib.util
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import CodeType
from typing import NamedTuple

from console.command import Parser
from console.exits import DONE, FAILED, guarded
from console.progress import Progress

OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In}
_PAIRS = (('min', 'max'), ('minimum', 'maximum'), ('reduce_min', 'reduce_max'), ('reduce_mean', 'reduce_sum'),
          ('any', 'all'), ('reduce_any', 'reduce_all'), ('zeros', 'ones'), ('zeros_like', 'ones_like'),
          ('floor', 'ceil'), ('resize_bilinear', 'resize_nearest'))
NAMES = dict(_PAIRS) | {second: first for first, second in _PAIRS}
# What says something to the reader or the type checker only.
UNTOUCHED = (ast.Import, ast.ImportFrom, ast.Raise, ast.Assert, ast.AnnAssign, ast.arg)


class Mutant(NamedTuple):
    """The module with one place changed."""

    line: int
    was: str
    now: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines."""
    tree = ast.parse(source)
    places = [(node, put) for node, put in _places(tree, lambda node: None) if isinstance(node, ast.expr | ast.stmt)]
    for node, put in sorted(places, key=lambda place: place[0].lineno):
        was = ast.unparse(node)
        for other in _alternatives(node):
            put(other)
            yield Mutant(node.lineno, was, ast.unparse(other), ast.unparse(tree))
        put(node)


def _places(node: ast.AST, put: Callable[[ast.AST], None]) -> Iterator[tuple[ast.AST, Callable[[ast.AST], None]]]:
    """The node and all below it, each with the function that puts another in its place."""
    if isinstance(node, UNTOUCHED):
        return
    yield node, put
    for field, value in ast.iter_fields(node):
        if field in ('annotation', 'returns', 'decorator_list'):
            continue
        if isinstance(value, ast.AST):
            yield from _places(value, functools.partial(setattr, node, field))
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield from _places(item, functools.partial(value.__setitem__, index))


def _alternatives(node: ast.AST) -> Iterator[ast.AST]:  # noqa: C901 - a table of cases
    """What can stand in the node's place."""
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in OPERATORS:
            yield ast.BinOp(left, OPERATORS[type(operator)](), right)
        case ast.AugAssign(target, operator, value) if type(operator) in OPERATORS:
            yield ast.AugAssign(target, OPERATORS[type(operator)](), value)
        case ast.Compare(left, [comparison], compared):
            yield ast.Compare(left, [COMPARISONS[type(comparison)]()], compared)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.IfExp(test, body, otherwise):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, otherwise)
        case ast.If(test, body, otherwise):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, otherwise)
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Attribute(value, name) if name in NAMES:
            yield ast.Attribute(value, NAMES[name], node.ctx)
        case ast.Name(name) if name in NAMES:
            yield ast.Name(NAMES[name], node.ctx)
        case ast.Call(function, arguments, keywords) if keywords:
            yield from (ast.Call(function, arguments, keywords[:index] + keywords[index + 1:])
                        for index in range(len(keywords)))
        case ast.Expr(ast.Call()):
            yield ast.Pass()


class _Loader(importlib.machinery.SourceFileLoader):
    """Of a module, with the code of its mutant."""

    def __init__(self, name: str, path: str, source: str):
        super().__init__(name, path)
        self._source = source

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, 'exec')


class _Finder:
    """Finds one module as its mutant."""

    def __init__(self, path: Path, source: str):
        self._name = '.'.join(path.with_suffix('').parts)
        self._loader = _Loader(self._name, str(path), source)

    def find_spec(self, name: str, path: object = None, target: object = None
                  ) -> importlib.machinery.ModuleSpec | None:
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(name, self._loader.path, loader=self._loader)


def passes(path: Path, source: str, tests: Sequence[str], seconds: int) -> bool:
    """Whether the tests pass within so many seconds, with that source for the module at a path."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    status = 1
    try:
        signal.alarm(seconds)  # nobody handles it, so it ends the process
        status = _run(path, source, tests)
    finally:
        os._exit(status)


def _run(path: Path, source: str, tests: Sequence[str]) -> int:
    import pytest
    for name in [name for name in sys.modules if name.partition('.')[0] == path.parts[0]]:
        del sys.modules[name]  # this command's own imports, which hold the module as it is
    sys.meta_path.insert(0, _Finder(path, source))
    with open(os.devnull, 'w', encoding='utf8') as nowhere, contextlib.redirect_stdout(nowhere), \
            contextlib.redirect_stderr(nowhere):
        return int(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', *tests]))


def survivors(path: Path, tests: Sequence[str], seconds: int) -> Iterator[Mutant]:
    """The mutants of the module at a path, relative to the working folder, with which its tests pass.

    ValueError where the tests fail without any.
    """
    source = path.read_text(encoding='utf8')
    if not passes(path, source, tests, seconds):
        raise ValueError(f'{" ".join(tests)}: these fail, or take over {seconds} s, with {path} as it is')
    found = list(mutants(source))
    with Progress(len(found), f'mutants of {path}') as progress:
        for mutant in found:
            if passes(path, mutant.source, tests, seconds):
                yield mutant
            progress.update()


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser('tools.mutate', __doc__)
    parser.add_argument('module', type=Path, help='its file, relative to the working folder')
    parser.add_argument('tests', nargs='+', help='what pytest is given')
    parser.add_argument('--seconds', type=int, default=120, help='a mutant that takes longer is seen; default 120')
    own = parser.parse_args(argv)
    if not own.module.is_file():
        raise ValueError(f'{own.module} is no file: give that of a module, relative to the working folder')
    sys.path.insert(0, os.getcwd())
    importlib.import_module('tensorflow')
    survived = 0
    for mutant in survivors(own.module, own.tests, own.seconds):
        survived += 1
        print(f'{own.module}:{mutant.line}: {mutant.was}  ->  {mutant.now}', flush=True)
    return FAILED if survived else DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

"""The options of a net or a backbone: its keyword-only arguments with a default, each with a line in its docstring."""

import functools
import inspect
import itertools
from collections.abc import Callable
from typing import Any, TypeVar

Build = TypeVar('Build', bound=Callable[..., Any])


def signature(function: Callable) -> dict[str, Any]:
    """{option: default}, in the order of the signature. What has no default isn't optional, so no option."""
    return {p.name: p.default for p in inspect.signature(function).parameters.values()
            if p.kind is p.KEYWORD_ONLY and p.default is not p.empty}


def takes_options_of(constructor: Callable[..., Any]) -> Callable[[Build], Build]:
    """Decorator that gives a function with `**options` the keyword-only options of `constructor`, and their meanings.

    A function's signature is the schema of its options; those that several share are written down once.
    """
    def decorate(function: Build) -> Build:
        own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
        signed: Any = function  # a function takes attributes, of which Callable knows none
        signed.__signature__ = inspect.Signature([*own, *inspect.signature(constructor).parameters.values()])
        signed.shared_options = constructor
        return function
    return decorate


def meanings(function: Callable) -> dict[str, str]:
    """{option: meaning}, from the docstring of what stands behind partials and wrappers, and of `takes_options_of`.

    Its section reads, up to a line that isn't indented:

        Options:
          name: meaning, on one line or
            on more
    """
    source = written(function)
    _, _, section = (inspect.getdoc(source) or '').partition('\nOptions:\n')
    found: dict[str, str] = {}
    name = ''
    for line in itertools.takewhile(lambda line: line.startswith('  '), section.splitlines()):
        if line.startswith('    '):
            found[name] += ' ' + line.strip()
        else:
            name, _, found[name] = line.strip().partition(': ')
    shared = getattr(source, 'shared_options', None)
    return found | (meanings(shared) if shared else {})


def written(function: Callable) -> Callable:
    """The function whose source has the docstring; a partial's own is the one of `functools.partial`."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, '__wrapped__'):
            function = function.__wrapped__
        else:
            return function

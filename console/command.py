"""What parsers of command lines share, and the one of every command that isn't a main: `python -m MODULE`."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from console import exits


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the module's docstring, the flags and what exit statuses mean.

    Dashes and underscores are alike in its flags. `formerly` maps what flags were called before, or are in other
    systems, to what they are called, such as --data_dir to --raw_dir; `instead` maps others to what to do here.
    """

    def __init__(self, module: str, doc: str, formerly: Mapping[str, str] | None = None,
                 instead: Mapping[str, str] | None = None):
        super().__init__(prog=f'python -m {module}', description=doc, epilog=exits.MEANING,
                         formatter_class=argparse.RawDescriptionHelpFormatter)
        self._formerly = formerly or {}
        self._instead = instead or {}

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        # Any, because the type of the namespace that is given is that of the one returned.
        given = renamed(map(underscored, sys.argv[1:] if args is None else args), self._formerly)
        for flag in (argument.partition('=')[0] for argument in given):
            if flag in self._instead:
                self.error(f'{flag}: {self._instead[flag]}')
        return super().parse_known_args(given, namespace)


def underscored(argument: str) -> str:
    """--Some-flag=some-value -> --Some_flag=some-value."""
    if not argument.startswith('--'):
        return argument
    flag, equals, value = argument[2:].partition('=')
    return '--' + flag.replace('-', '_') + equals + value


def renamed(arguments: Iterable[str], formerly: Mapping[str, str]) -> list[str]:
    """The arguments with flags, as --flag or --flag=value, by their present names."""
    parts = [argument.partition('=') for argument in arguments]
    return [formerly.get(flag, flag) + equals + value for flag, equals, value in parts]


def positive(text: str) -> int:
    """An argument type: an integer above 0."""
    if int(text) < 1:
        raise ValueError
    return int(text)

"""What parsers of command lines share, and the one of every command that isn't a main: `python -m MODULE`."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from console import exits


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the module's docstring, the flags and what exit statuses mean.

    `formerly` maps what flags were called before to what they are called, such as --data_dir to --raw_dir.
    """

    def __init__(self, module: str, doc: str, formerly: Mapping[str, str] | None = None):
        super().__init__(prog=f'python -m {module}', description=doc, epilog=exits.MEANING,
                         formatter_class=argparse.RawDescriptionHelpFormatter)
        self._formerly = formerly or {}

    def parse_known_args(self, args: Iterable[str] | None = None, namespace: Any = None) -> tuple[Any, list[str]]:
        # Any, because the type of the namespace that is given is that of the one returned.
        return super().parse_known_args(renamed(sys.argv[1:] if args is None else args, self._formerly), namespace)


def renamed(arguments: Iterable[str], formerly: Mapping[str, str]) -> list[str]:
    """The arguments with flags, as --flag or --flag=value, by their present names."""
    parts = [argument.partition('=') for argument in arguments]
    return [formerly.get(flag, flag) + equals + value for flag, equals, value in parts]


def positive(text: str) -> int:
    """An argument type: an integer above 0."""
    if int(text) < 1:
        raise ValueError
    return int(text)

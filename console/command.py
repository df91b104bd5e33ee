"""The parser that every command has which isn't one of the mains: `python -m MODULE`."""

import argparse

from console import exits


class Parser(argparse.ArgumentParser):
    """An argument parser whose help is the module's docstring, the flags and what exit statuses mean."""

    def __init__(self, module: str, doc: str):
        super().__init__(prog=f'python -m {module}', description=doc, epilog=exits.MEANING,
                         formatter_class=argparse.RawDescriptionHelpFormatter)


def positive(text: str) -> int:
    """An argument type: an integer above 0."""
    if int(text) < 1:
        raise ValueError
    return int(text)

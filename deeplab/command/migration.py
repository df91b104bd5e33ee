"""Writes docs/coming-from.md from deeplab/command/aliases.toml.

    python -m deeplab.command.migration
"""

import sys
from collections.abc import Iterable, Mapping, Sequence

from console import checkout
from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole
from deeplab.command import aliases
from deeplab.command.aliases import Dialect, Flag, Table
from deeplab.command.rules import RULES

PAGE = checkout.FOLDER / 'docs' / 'coming-from.md'
INTRODUCTION = """# Coming from another system

Written by `python -m deeplab.command.migration` from `deeplab/command/aliases.toml`; edit that.

The commands of five other systems, and of the official DeepLab, run here with their own flags: dashes and underscores
are alike, values may have their spelling. What a flag becomes is a field of the recipe, which can be given as well, as
`--field value`. A flag that has no meaning here is accepted with a line that says what happens instead. Without
`--recipe`, flags of one system alone choose the row that has its network and its defaults.

"""


def page(table: Table) -> str:
    """The whole document, in Markdown."""
    return INTRODUCTION + _values(table) + ''.join(_dialect(name, dialect, table)
                                                   for name, dialect in table.dialects.items())


def _values(table: Table) -> str:
    rows = [(f'`--{path}`', f'`{theirs}`', f'`{ours}`') for path, values in table.values.items()
            for theirs, ours in values.items()]
    return 'Names that differ:\n\n' + _table(('field', 'theirs', 'ours'), rows)


def _dialect(name: str, dialect: Dialect, table: Table) -> str:
    flags = [flag for flag in table.flags.values() if name in flag.of]
    commands = [(f'`{theirs}`' if theirs.startswith('python') else theirs, ours)
                for theirs, ours in dialect.commands.items()]
    parts = [f'\n## {dialect.title}\n\n', _table(('there', 'here'), commands)]
    if dialect.recipe:
        parts.append(f'\nIts flags choose recipe `{dialect.recipe}` unless they or `--recipe` name another.\n')
    parts.append('\nWhat behaves differently:\n\n' + ''.join(f'- {line}\n' for line in dialect.better))
    if flags:
        parts.append('\n' + _table(('flag', 'becomes'), [(f'`--{flag.name}`', _meaning(flag)) for flag in flags]))
    if name == 'tonandr':
        from deeplab.command.tonandr import KEYS  # whose reader imports TensorFlow
        parts.append('\n' + _table(('key of the JSON', 'becomes'), [(f'`{path}`', f'`--{key.field}`' if key.field
                                                                             else key.says)
                                                                            for path, key in KEYS.items()]))
    return ''.join(parts)


def _meaning(flag: Flag) -> str:
    """What a flag does, in words."""
    said = [f'`--{path}`' + (f' (item {flag.item})' if flag.item is not None else '') for path in flag.field]
    if flag.rule:
        said.append(' '.join((RULES[flag.rule].__doc__ or flag.rule).split()))
    if flag.own:
        said.append(f'`--{flag.own}`')
    if flag.trained:
        said.append(f'with trained weights `--{flag.trained}`')
    said += [f'`{theirs}`: recipe `{ours}`' for theirs, ours in flag.recipe.items()]
    said += [f'`{theirs}` is `{ours}`' if ours else f'`{theirs}`: none' for theirs, ours in flag.values.items()]
    said += [_settings(settings, 'off: ' if settings is flag.unset else '') for settings in (flag.set, flag.unset)
             if settings]
    said += [_settings(settings, f'`{theirs}`: ') for theirs, settings in flag.sets.items()]
    said += [f'nothing unless `--{path}` matches `{pattern}`' for path, pattern in flag.needs.items()]
    if flag.refused:
        said.append(f'refused: {flag.refused}')
    if flag.says:
        said.append(flag.says)
    return '; '.join(said).replace('|', '\\|')


def _settings(settings: Mapping, when: str) -> str:
    return when + ', '.join(f'`--{path} {str(value).lower() if isinstance(value, bool) else value}`'
                            for path, value in settings.items())


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return ''.join(f'| {" | ".join(row)} |\n' for row in (header, ['---'] * len(header), *rows))


def main(arguments: Sequence[str] | None = None) -> int:
    Parser('deeplab.command.migration', __doc__).parse_args(arguments)
    checkout.required()
    write_whole(PAGE, page(aliases.load()))
    print(f'wrote {PAGE}')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

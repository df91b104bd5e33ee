"""The flags of five other systems and of the official DeepLab, in our terms: the reader of `aliases.toml`.

Imports no TensorFlow. `deeplab.command.flags` calls `translate`; `deeplab.command.rules` has what a table can't say;
`deeplab.command.migration` writes the table as documentation.
"""

import dataclasses
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.choices import choose, refuse_unknown
from console.progress import say
from deeplab.command.rules import KEEP, RULES, Late, Said, Value
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe

TABLE = Path(__file__).parent / 'aliases.toml'
SWITCH_VALUES = {'true': True, 'yes': True, '1': True, 'false': False, 'no': False, '0': False}


@dataclass(frozen=True)
class Flag:
    """A row of `[flags]`; the head of aliases.toml says what each key means."""

    name: str
    of: tuple[str, ...]
    field: tuple[str, ...] = ()
    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    own: str = ''
    trained: str = ''
    recipe: Mapping[str, str] = dataclasses.field(default_factory=dict)
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unset: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    sets: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    switch: bool = False
    many: bool = False
    item: int | None = None
    idle: tuple[str, ...] = ()
    needs: Mapping[str, str] = dataclasses.field(default_factory=dict)
    rule: str = ''
    refused: str = ''
    says: str = ''


@dataclass(frozen=True)
class Dialect:
    """A system whose users find their flags here; `recipe` is the row that its commands have by default.

    `unsaid` are the fields in which a command of few flags differs from that row, or from another that it names.
    """

    title: str
    recipe: str = ''
    unsaid: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    commands: Mapping[str, str] = dataclasses.field(default_factory=dict)
    better: tuple[str, ...] = ()


@dataclass(frozen=True)
class Table:
    dialects: Mapping[str, Dialect]
    values: Mapping[str, Mapping[str, Any]]
    flags: Mapping[str, Flag]

    def ours(self, path: str, value: Any) -> Any:
        """A field's value in our spelling."""
        return self.values.get(path, {}).get(value, value) if isinstance(value, str) else value

    def find(self, name: str) -> tuple[Flag | None, bool]:
        """The flag of that name, and whether it is on: of a switch X there is also noX."""
        if name not in self.flags and name.startswith('no') and name[2:] in self.flags and self.flags[name[2:]].switch:
            return self.flags[name[2:]], False
        return self.flags.get(name), True


def load(path: Path = TABLE) -> Table:
    """Reads the table; ValueError names the flag that is wrong in it."""
    content = tomllib.loads(path.read_text(encoding='utf8'))
    dialects = {name: Dialect(**row) for name, row in content['dialects'].items()}
    flags = {}
    for name, row in content['flags'].items():
        paths = row.get('field', ())
        lists = {'of': tuple(row['of']), 'field': (paths,) if isinstance(paths, str) else tuple(paths)}
        flag = Flag(**{'name': name} | row | lists)
        refuse_unknown(f'dialect of flag {name} of {path}', flag.of, dialects)
        flags[name] = flag
    return Table(dialects, content['values'], flags)


@dataclass
class Translation:
    """A command in our terms; values of `overrides` may be `Late`, `recipe` is a row named by a flag's value."""

    own: list[str] = dataclasses.field(default_factory=list)
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    recipe: str | None = None
    default_recipe: str | None = None
    unsaid: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    mixed: str = ''
    notes: list[str] = dataclasses.field(default_factory=list)


def translate(argv: Sequence[str], own_flags: Collection[str], stride_field: str, table: Table) -> Translation:
    """Takes the foreign flags out of a command; `own` holds what is left, with our names.

    `own_flags` are the main's, as `--name`, and win; `stride_field` is the field that its --output_stride sets. In what
    order flags stand doesn't matter, except that the last of those with one name holds. ValueError for a value that a
    flag doesn't take.
    """
    command = Translation()
    given = dict(_given(argv, own_flags, table, command.own))
    flags = [table.flags[name] for name in given]
    command.mixed, dialects = _dialects(flags, table)
    if len(dialects) == 1:
        dialect = table.dialects[min(dialects)]
        command.default_recipe, command.unsaid = dialect.recipe or None, dialect.unsaid
    said = Said({flag.name: given[flag.name] for flag in flags if given[flag.name] not in ('', *flag.idle)}, own_flags,
                stride_field, table.dialects)
    for name, value in said.given.items():
        _apply(table.flags[name], value, command, own_flags)
    for rule in dict.fromkeys(table.flags[name].rule for name in said.given if table.flags[name].rule):
        found = RULES[rule](said)
        command.overrides |= found.overrides
        command.own[:0] = found.own
        command.notes += found.notes
    return command


def _given(argv: Sequence[str], own_flags: Collection[str], table: Table, own: list[str]
           ) -> Iterator[tuple[str, Value]]:
    """The name and the value of each foreign flag, lists so far; all else is appended to `own`."""
    arguments = list(argv)
    lists: dict[str, list[str]] = {}
    while arguments:
        argument = arguments.pop(0)
        name, equals, value = argument.partition('=')
        flag, on = table.find(name[2:]) if name.startswith('--') and name not in own_flags else (None, True)
        if flag is None:
            own.append(argument)
        elif flag.switch:
            yield flag.name, _switched(flag, on, value if equals else None, arguments)
        else:
            if not equals and not arguments:
                raise ValueError(f'{name} needs a value')
            values = [value if equals else arguments.pop(0)]
            while flag.many and not equals and arguments and not arguments[0].startswith('--'):
                values.append(arguments.pop(0))
            yield flag.name, _list(values, lists.setdefault(flag.name, [])) if flag.many else values[0]


def _list(values: Sequence[str], before: list[str]) -> str:
    """A list that is given whole, with commas, replaces the one before; single values, each with the flag, add up."""
    for value in values:
        if ',' in value or not value:
            before.clear()
        before += [value.strip('[]() ')] if value else []
    return f'[{",".join(before)}]' if before else ''


def _switched(flag: Flag, on: bool, value: str | None, arguments: list[str]) -> bool:
    """Whether --flag, --flag=true, --flag false and so on switch it on."""
    if value is None:
        if arguments and arguments[0].lower() in SWITCH_VALUES:
            value = arguments.pop(0)
        else:
            return on
    return choose(f'--{flag.name}', value.lower(), SWITCH_VALUES) == on


def _dialects(flags: Sequence[Flag], table: Table) -> tuple[str, frozenset[str]]:
    """(what speaks against a single system, the systems that know all of the flags)."""
    known = frozenset(table.dialects).intersection(*(flag.of for flag in flags)) if flags else frozenset()
    if known or not flags:
        return '', known
    first = flags[0]
    other = next((flag for flag in flags if not set(flag.of) & set(first.of)), flags[-1])
    return ' and '.join(f'--{flag.name} of {" or ".join(table.dialects[name].title for name in flag.of)}'
                        for flag in (first, other)), known


def _apply(flag: Flag, value: Value, command: Translation, own_flags: Collection[str]) -> None:
    if flag.refused:
        raise ValueError(f'--{flag.name}: {flag.refused}')
    if flag.says:
        command.notes.append(f'--{flag.name}: {flag.says}')
    if flag.recipe:
        command.recipe = choose(f'--{flag.name}', value, flag.recipe)
        command.notes.append(f'--{flag.name} {value}: this is recipe {command.recipe}')
    own = flag.trained if f'--{flag.trained}' in own_flags else flag.own
    if own:
        if f'--{own}' not in own_flags:
            raise ValueError(f'--{flag.name} is --{own} here, which this command does not have')
        command.own += [f'--{own}', str(flag.values.get(str(value), value))]
    changes = {**(flag.unset if value is False else flag.set), **flag.sets.get(str(value), {})}
    if own != flag.trained or not own:
        changes |= {path: _valued(flag, value, command.overrides.get(path)) for path in flag.field}
    command.overrides |= _fitting(flag, changes) if flag.needs else changes


def _valued(flag: Flag, value: Value, before: Any) -> Any:
    """What a field gets: the value in our spelling, or with another of the pair that it is an item of."""
    return flag.values.get(str(value), value) if flag.item is None else _item(flag.field[0], flag.item, value, before)


def _item(path: str, item: int, value: Value, before: Any) -> Late:
    """Replaces one of a pair, after what another flag replaced; where there is none, of the crop's."""
    def pair(recipe: Recipe) -> list[int]:
        values = list(before(recipe) if callable(before) else recipes.get(recipe, path) or recipe.data.crop_size)
        values[item] = int(value)
        return values
    return pair


def _fitting(flag: Flag, changes: Mapping[str, Any]) -> dict[str, Late]:
    """The changes for recipes whose fields match `flag.needs`; others are left as they are, which is said once."""
    told: list[str] = []

    def fits(recipe: Recipe) -> bool:
        for path, pattern in flag.needs.items():
            found = recipes.get(recipe, path)
            if not re.search(pattern, str(found)):
                if not told:
                    say(f'note: --{flag.name}: does nothing with {path} = {found}, as there')
                told.append(path)
                return False
        return True

    def fitting(value: Any) -> Late:
        return lambda recipe: value if fits(recipe) else KEEP

    return {path: fitting(value) for path, value in changes.items()}

"""The flags of five other systems and of the official DeepLab, in our terms: the reader of `aliases.toml`.

Imports no TensorFlow. `deeplab.command.flags` calls `translate`; `deeplab.command.migration` writes the table as
documentation.
"""

import dataclasses
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.choices import choose, refuse_unknown
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
    recipe: Mapping[str, str] = dataclasses.field(default_factory=dict)
    set: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    unset: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    switch: bool = False
    many: bool = False
    item: int | None = None
    late: str = ''
    says: str = ''


@dataclass(frozen=True)
class Dialect:
    """A system whose users find their flags here; `recipe` is the row that its commands have by default."""

    title: str
    recipe: str = ''
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
        flag = Flag(**{'name': name} | row | {'of': tuple(row['of']),
                                              'field': (paths,) if isinstance(paths, str) else tuple(paths)})
        refuse_unknown(f'dialect of flag {name} of {path}', flag.of, dialects)
        flags[name] = flag
    return Table(dialects, content['values'], flags)


# A value that depends on the rest of the recipe: f(recipe) -> value
Late = Callable[[Recipe], Any]


@dataclass
class Translation:
    """A command in our terms; values of `overrides` may be `Late`, `recipe` is a row named by a flag's value."""

    own: list[str] = dataclasses.field(default_factory=list)
    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    recipe: str | None = None
    default_recipe: str | None = None
    notes: list[str] = dataclasses.field(default_factory=list)


def translate(argv: Sequence[str], own_flags: Collection[str], stride_field: str, table: Table) -> Translation:
    """Takes the foreign flags out of a command; `own` holds what is left, with our names.

    `own_flags` are the main's, as `--name`, and win; `stride_field` is the field that its --output_stride sets.
    ValueError for a value that a flag doesn't take.
    """
    command, arguments = Translation(), list(argv)
    lists: dict[str, list[str]] = {}
    while arguments:
        argument = arguments.pop(0)
        name, equals, value = argument.partition('=')
        flag, on = table.find(name[2:]) if name.startswith('--') and name not in own_flags else (None, True)
        if flag is None:
            command.own.append(argument)
            continue
        if flag.switch:
            on = _switched(flag, on, value if equals else None, arguments)
        elif not equals:
            if not arguments:
                raise ValueError(f'{name} needs a value')
            value = arguments.pop(0)
        _recognise(flag, command, table)
        if flag.many:
            if not value:  # an empty list is how official commands leave an option at its default
                continue
            lists.setdefault(flag.name, []).append(value.strip('[]() '))
            value = f'[{",".join(lists[flag.name])}]'
        _apply(flag, on, flag.values.get(value, value), command, own_flags, stride_field)
    return command


def _switched(flag: Flag, on: bool, value: str | None, arguments: list[str]) -> bool:
    """Whether --flag, --flag=true, --flag false and so on switch it on."""
    if value is None:
        if arguments and arguments[0].lower() in SWITCH_VALUES:
            value = arguments.pop(0)
        else:
            return on
    return choose(f'--{flag.name}', value.lower(), SWITCH_VALUES) == on


def _apply(flag: Flag, on: bool, value: str, command: Translation, own_flags: Collection[str],
           stride_field: str) -> None:
    if flag.says:
        command.notes.append(f'--{flag.name}: {flag.says}')
    if flag.recipe:
        command.recipe = choose(f'--{flag.name}', value, flag.recipe)
        command.notes.append(f'--{flag.name} {value}: this is recipe {command.recipe}')
    if flag.own:
        if f'--{flag.own}' not in own_flags:
            raise ValueError(f'--{flag.name} is --{flag.own} here, which this command does not have')
        command.own += [f'--{flag.own}', value]
    command.overrides.update(flag.set if on else flag.unset)
    for path in flag.field:
        item = flag.item
        command.overrides[path] = value if item is None else _item(item, value, command.overrides.get(path))
    if flag.late:
        command.overrides.update(RULES[flag.late](on, stride_field))


def _item(item: int, value: str, before: Late | None) -> Late:
    """Replaces one of a pair, after what another flag replaced."""
    def pair(recipe: Recipe) -> list[int]:
        values = list(before(recipe) if callable(before) else recipe.data.crop_size)
        values[item] = int(value)
        return values
    return pair


def _recognise(flag: Flag, command: Translation, table: Table) -> None:
    """A flag that one dialect alone knows says whose command this is; the first decides."""
    if len(flag.of) == 1 and not command.default_recipe:
        command.default_recipe = table.dialects[flag.of[0]].recipe or None


def _rates_at_this_output_stride(on: bool, stride_field: str) -> dict[str, Late]:
    """Official rates are literal: they belong to the output stride of their command."""
    return {'model.options.atrous_rates_stride':
            lambda recipe: recipes.get(recipe, stride_field) or recipe.model.output_stride}


def _bounded_backbone(on: bool, stride_field: str) -> dict[str, Late]:
    """The official flag bounds the activations of Xception as well as the head's; other backbones ignore it."""
    def options(recipe: Recipe) -> dict:
        bounded = {'use_bounded_activation': on} if recipe.model.backbone.startswith('xception') else {}
        return recipe.model.backbone_options | bounded
    return {'model.backbone_options': options}


# name of `late` -> f(whether the flag is on, field that --output_stride sets) -> {path: Late}
RULES = {'rates_at_this_output_stride': _rates_at_this_output_stride, 'bounded_backbone': _bounded_backbone}

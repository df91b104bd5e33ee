"""A recipe: everything that decides a number, as data. Imports no TensorFlow.

A published row is a table in a TOML file beside this one; its fields are the dataclasses of `schema`. Any field can be
overridden by its path (`train.max_steps`), every value is checked against the field's type and choices, and an unknown
path or choice is answered with the nearest names.
"""

import contextlib
import dataclasses
import functools
import json
import re
import tomllib
import types
import typing
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from console.choices import choose, refuse_unknown
from console.files import write_whole
from console.progress import say
from deeplab.recipes.schema import Recipe

RECIPES = Path(__file__).parent
# What fields were called in recipes, results and commands of before.
FORMERLY = {'data.data_dir': 'data.record_dir'}
# Fields that are gone: what they said is found elsewhere now.
GONE = {'status': 'is computed from recordings and results now (deeplab.reports.status)'}
# And what their values were called.
FORMER_VALUES = {'model.net': {'dense': 'dense_in_dense'}}
# Fields that runs were recorded without, and what those runs did: they go on with it.
BEFORE = {'data.order': 'index_shuffle', 'train.kernels': 'tensorflow'}
# Two ways of saying one thing: setting one of them clears the other, so that a flag wins over a row.
INSTEAD_OF = {'train.max_steps': 'train.epochs', 'train.epochs': 'train.max_steps',
              'train.eval_steps': 'train.eval_secs', 'train.eval_secs': 'train.eval_steps'}

# Rows of other systems had a number where they have the repository's owner now: ..._seedNNN, its place here.
OWNERS = ('irvingzhang0512', 'xlmou', 'rishizek', 'dongzhuoyao', 'tonandr')
NUMBERED = re.compile(r'_seed(00[0-4])(?=_|$)')


@functools.cache  # every field of every row asks for them
def fields(section: type = Recipe, prefix: str = '') -> Mapping[str, dataclasses.Field[Any]]:
    """Every field of a recipe by its path, in order: {'data.dataset': Field, ...}."""
    found: dict[str, dataclasses.Field[Any]] = {}
    for field in dataclasses.fields(section):
        if isinstance(field.type, type) and dataclasses.is_dataclass(field.type):
            found.update(fields(field.type, f'{prefix}{field.name}.'))
        else:
            found[prefix + field.name] = field
    return types.MappingProxyType(found)


def get(recipe: Recipe, path: str) -> Any:
    value: Any = recipe
    for name in path.split('.'):
        value = getattr(value, name)
    return value


def override(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """The recipe with fields replaced by path; values may be strings, as from a command line.

    A path below a dictionary field sets one entry: {'model.options.atrous_rates': '[6, 12, 18]'}.
    """
    for path, value in changes.items():
        recipe = _replace(recipe, FORMERLY.get(path, path), value)
    return recipe


def _replace(recipe: Recipe, path: str, value: Any) -> Recipe:
    known = fields()
    entry = next((p for p in known if known[p].type is dict and path.startswith(p + '.')), None)
    if entry:
        return _replace(recipe, entry, get(recipe, entry) | {path.removeprefix(entry + '.'): _parse(value)})
    refuse_unknown('recipe field', [path], known, '`python train.py --help` shows all')
    value = _coerce(known[path].type, value, path)
    if path in FORMER_VALUES:
        value = FORMER_VALUES[path].get(value, value)
    if choices := known[path].metadata['choices']:
        choose(path, value, list(choices))
    if value and path in INSTEAD_OF:
        recipe = _replace(recipe, INSTEAD_OF[path], 0)
    section, _, name = path.rpartition('.')
    if not section:
        return dataclasses.replace(recipe, **{name: value})
    return dataclasses.replace(recipe, **{section: dataclasses.replace(getattr(recipe, section), **{name: value})})


def _parse(value: Any) -> Any:
    """A command-line string as the TOML value it reads like, a list with or without brackets, or itself."""
    if not isinstance(value, str):
        return value
    for text in (value, f'[{value}]') if ',' in value else (value,):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            return tomllib.loads(f'value = {text}')['value']
    return value


def _coerce(kind: Any, value: Any, path: str) -> Any:
    """The value as the field's type, or a ValueError that names field, value and type."""
    if isinstance(kind, types.UnionType):  # only `X | None` occurs
        return None if value in (None, 'none') else _coerce(kind.__args__[0], value, path)
    if kind is str:
        if isinstance(value, str):
            return value
    elif typing.get_origin(kind) is tuple:
        text = value if not isinstance(value, str) or value.lstrip().startswith('[') else f'[{value}]'
        items = _parse(text)
        if isinstance(items, list | tuple):
            return tuple(_coerce(kind.__args__[0], item, path) for item in items)
    else:
        parsed = _parse(value)
        if kind is float and type(parsed) in (int, float):
            return float(parsed)
        if kind is int and type(parsed) is float and parsed.is_integer():  # 30000.0, and 3e4
            return int(parsed)
        if type(parsed) is kind:
            return parsed
    raise ValueError(f'{path} = {value!r} is not a {getattr(kind, "__name__", kind)}')


def from_dict(values: Mapping[str, Any], base: Recipe | None = None) -> Recipe:
    """A recipe from nested tables, as TOML and `recipe.json` hold them."""
    return override(base or Recipe(), {path: value for path, value in _flatten(values).items() if path not in GONE})


def _flatten(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    known = fields()
    flat = {}
    for name, value in values.items():
        path = prefix + name
        if isinstance(value, Mapping) and not (path in known and known[path].type is dict):
            flat.update(_flatten(value, path + '.'))
        else:
            flat[path] = value
    return flat


def to_dict(recipe: Recipe) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def recorded(values: Mapping[str, Any]) -> Recipe:
    """The recipe that a run or its result recorded, maybe before some fields were there."""
    return from_dict(values, override(Recipe(), BEFORE))


def continued(recipe: Recipe, run: Recipe, given: Collection[str]) -> Recipe:
    """The recipe with which a run goes on: that of its command, but with what it did before unless that is `given`."""
    kept = {path: value for path, value in BEFORE.items()
            if path not in given and get(run, path) == value != get(recipe, path)}
    if said := {path: value for path, value in kept.items() if get(recipe, path) != 'auto'}:
        say('going on as the run began: ' + ', '.join(f'{path} = {value!r}' for path, value in said.items()))
    return override(recipe, kept)


def read_json(path: Path) -> Recipe:
    """The recipe that a run recorded in its model_dir."""
    try:
        recipe = recorded(json.loads(path.read_text(encoding='utf8')))
        return dataclasses.replace(recipe, name=current_name(recipe.name))
    except (json.JSONDecodeError, ValueError) as error:
        raise ValueError(f'{path}: {error}') from error


def write_json(recipe: Recipe, path: Path) -> None:
    """Records a recipe."""
    write_whole(path, json.dumps(to_dict(recipe), indent=2) + '\n')


def difference(old: Recipe, new: Recipe) -> list[str]:
    """The fields that decide the weights and differ, a line each: `train.batch_size: 16 -> 8`."""
    return [f'{path}: {get(old, path)!r} -> {get(new, path)!r}' for path, field in fields().items()
            if not field.metadata['free'] and get(old, path) != get(new, path)]


@functools.cache  # reading all rows takes half a second
def table(folder: Path = RECIPES) -> Mapping[str, Recipe]:
    """All recipes of a folder by name; each file has `[common]` for what its `[rows.NAME]` share."""
    rows: dict[str, Recipe] = {}
    for path in sorted(folder.glob('*.toml')):
        for row in _read(path):
            if row.name in rows:
                raise ValueError(f'{path}: recipe {row.name!r} is also in another file of {folder}')
            rows[row.name] = row
    return types.MappingProxyType(rows)


def _read(path: Path) -> list[Recipe]:
    try:
        content = tomllib.loads(path.read_text(encoding='utf8'))
        refuse_unknown('table', content, ('common', 'rows'), 'a recipe file has [common] and [rows.NAME]')
        for field in GONE.keys() & {name for table in (content.get('common', {}), *content.get('rows', {}).values())
                                    for name in table}:
            say(f'note: {path}: {field} {GONE[field]}, so it is left out')
        common = from_dict(content.get('common', {}))
        return [from_dict({'name': name} | row, common) for name, row in content.get('rows', {}).items()]
    except (tomllib.TOMLDecodeError, ValueError) as error:
        raise ValueError(f'{path}: {error}') from error


def load(name: str) -> Recipe:
    """The recipe of that name, or the only row of a TOML file given by its path."""
    if name.endswith('.toml'):
        rows = _read(Path(name))
        if len(rows) != 1:
            raise ValueError(f'{name} has {len(rows)} rows; a recipe given as a file has exactly one')
        return rows[0]
    return choose('recipe', current_name(name), table(), '`python train.py --list` shows all')


@functools.cache  # so that it is said once
def current_name(name: str) -> str:
    """What the row is called now that had this name in an older version, said in a line; another name as it is."""
    now = NUMBERED.sub(lambda number: f'_{OWNERS[int(number[1])]}', name)
    if now == name or now not in table():
        return name
    say(f'note: recipe {name} is called {now} now')
    return now

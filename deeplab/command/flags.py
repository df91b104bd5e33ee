"""Command lines: short flags, any recipe field as `--section.field value`, and the flags of other systems.

The mains share this. Dashes and underscores are alike; `aliases.toml` has what other systems, such as the official
DeepLab, call things; an unknown flag is answered with the nearest names.
"""

import argparse
import dataclasses
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from console import exits
from console.choices import nearest
from console.command import renamed, underscored
from console.progress import say
from deeplab.command import aliases, version
from deeplab.command.rules import KEEP
from deeplab.recipes import beside, idle
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe

# Flags that everyone types, by the field that they set.
SHORT = {
    'dataset': 'data.dataset',
    'record_dir': 'data.record_dir',
    'init': 'init.checkpoint',
    'batch_size': 'train.batch_size',
    'crop_size': 'data.crop_size',
    'max_steps': 'train.max_steps',
    'learning_rate': 'schedule.learning_rate',
    'output_stride': 'model.output_stride',
    'precision': 'train.precision',
    'seed': 'train.seed',
}
FORMERLY = {'--data_dir': '--record_dir'}


class Parser(argparse.ArgumentParser):
    """An argument parser that knows the fields of a recipe besides its own flags."""

    def __init__(self, description: str, short: Sequence[str] = tuple(SHORT),
                 formerly: Mapping[str, str] = FORMERLY):
        super().__init__(description=description, epilog=f'{_field_help()}\n\n{exits.MEANING}', allow_abbrev=False,
                         formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument('--version', action=_Version, nargs=0, help='versions and commit of what runs here')
        self._formerly = formerly
        fields = recipes.fields()
        for flag in short:
            self.add_argument(f'--{flag}', dest=SHORT[flag], metavar='X', default=argparse.SUPPRESS,
                              help=f'{_meaning(fields[SHORT[flag]])} ({SHORT[flag]})')

    def parse(self, argv: Sequence[str] | None = None) -> tuple[argparse.Namespace, dict[str, Any]]:
        """The main's own flags, and the overrides of recipe fields by path; see `choose_recipe`.

        Exits with status 2 and the nearest names where a flag is unknown.
        """
        table = aliases.load()
        try:
            given = map(underscored, sys.argv[1:] if argv is None else argv)
            own, fields = _split(renamed(given, {old: new for old, new in self._formerly.items()
                                                 if new in self._option_string_actions}))
            command = aliases.translate(own, self._option_string_actions, self._stride_field(), table)
        except ValueError as error:
            self.error(str(error))
        namespace, unknown = self.parse_known_args(command.own)
        if unknown:
            names = [*self._option_string_actions, *(f'--{name}' for name in table.flags)]
            self.error(f'unknown argument {unknown[0]}; {nearest(unknown[0], names)}')
        for name in [n for n in vars(namespace) if '.' in n]:
            fields[name] = getattr(namespace, name)
            delattr(namespace, name)
        unsaid = self._name_recipe(namespace, command)
        for note in command.notes:
            print(f'note: {note}', file=sys.stderr)
        overrides = unsaid | command.overrides | fields
        return namespace, {path: table.ours(path, value) for path, value in overrides.items()}

    def _stride_field(self) -> str:
        action = self._option_string_actions.get('--output_stride')
        return action.dest if action else SHORT['output_stride']

    def _name_recipe(self, namespace: argparse.Namespace, command: aliases.Translation) -> dict[str, Any]:
        """What a foreign command's network is, and the fields in which a command of its system differs from that row.

        A run knows its own better than the default of a dialect.
        """
        if getattr(namespace, 'recipe', None):
            return {}
        namespace.recipe = command.recipe
        model_dir = getattr(namespace, 'model_dir', None)
        saved = (beside.find(getattr(namespace, 'checkpoint', 'latest')) or
                 model_dir and (Path(model_dir) / beside.RECORD).exists())
        if command.recipe:
            return dict(command.unsaid)
        if saved or not (command.default_recipe or command.mixed):
            return {}
        if command.mixed:
            self.error(f'these flags are of different systems, {command.mixed}: name the --recipe that they change')
        namespace.recipe = command.default_recipe
        command.notes.append(f'these flags are of another system, whose default is recipe {command.default_recipe}')
        return dict(command.unsaid)


class _Version(argparse.Action):
    """Prints the line only when it is asked for, since it asks git."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object,
                 option_string: str | None = None) -> None:
        print(version.line())
        parser.exit()


def _split(argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Separates `--section.field value` and `--section.field=value` from everything else."""
    own: list[str] = []
    overrides: dict[str, str] = {}
    arguments = iter(argv)
    for argument in arguments:
        flag, equals, value = argument.partition('=')
        if not (flag.startswith('--') and '.' in flag):
            own.append(argument)
            continue
        given = value if equals else next(arguments, None)
        if given is None:
            raise ValueError(f'{flag} needs a value')
        overrides[recipes.FORMERLY.get(flag[2:], flag[2:])] = given
    return own, overrides


def _field_help() -> str:
    """Each field's flag with its default, and below it the meaning, as wide as the terminal."""
    width = shutil.get_terminal_size().columns - 2  # as argparse does
    lines = ['fields of a recipe, each a flag --section.field VALUE (here with its default):']
    for path, field in recipes.fields().items():
        said = '.NAME VALUE' if field.type is dict else f' {_written(recipes.get(Recipe(), path))}'
        lines.append(f'  --{path}{said}'.rstrip())
        lines += textwrap.wrap(_meaning(field), max(width, 40), initial_indent=' ' * 8, subsequent_indent=' ' * 8,
                               break_long_words=False, break_on_hyphens=False)
    return '\n'.join(lines)


def _written(value: Any) -> str:
    """A value as a command line takes it."""
    if isinstance(value, tuple):
        return ','.join(map(str, value))
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return '' if value == {} else str(value)


def _meaning(field: dataclasses.Field) -> str:
    """What a field says, and its choices with theirs."""
    choices = field.metadata['choices'] or {}
    named = [f'{choice or "empty"} ({meaning})' if meaning else choice for choice, meaning in choices.items()]
    return ': '.join([field.metadata['doc'], *([' | '.join(named)] if named else [])])


def choose_recipe(name: str | None, model_dir: str | None, overrides: dict[str, Any], trained: bool = False) -> Recipe:
    """The recipe of a command: the named one, else the one that model_dir was trained with, else the defaults.

    Says which of the overrides do nothing, beside the others or because the weights are `trained` already.
    """
    saved = Path(model_dir or '.') / 'recipe.json'
    if name:
        chosen = recipes.load(name)
    elif model_dir and saved.exists():
        chosen = recipes.read_json(saved)
    else:
        chosen = Recipe()
    found = overridden(chosen, overrides)
    for line in idle.lines(chosen, found, overrides, trained):
        say(f'note: {line}')
    return found


def continued(recipe: Recipe, model_dir: Path, overrides: Mapping[str, Any]) -> Recipe:
    """The recipe for a model_dir, where a run that began in it goes on as it began."""
    saved = model_dir / 'recipe.json'
    return recipes.continued(recipe, recipes.read_json(saved), overrides) if saved.exists() else recipe


def overridden(recipe: Recipe, overrides: dict[str, Any]) -> Recipe:
    """The recipe with what `Parser.parse` found; values that are functions of the recipe are applied last."""
    recipe = recipes.override(recipe, {path: value for path, value in overrides.items() if not callable(value)})
    for path, late in overrides.items():
        if callable(late) and (value := late(recipe)) is not KEEP:
            recipe = recipes.override(recipe, {path: value})
    return recipe


def overfitting(count: int) -> dict[str, Any]:
    """The fields of --overfit; later ones of the command line win."""
    if count < 1:
        raise ValueError(f'--overfit {count}: give the number of images, at least 1')
    return {'data.limit': count, 'data.min_scale': 1.0, 'data.max_scale': 1.0, 'data.flip': False,
            'data.eval_split': lambda recipe: recipe.data.train_split}


def choose_model_dir(given: str | None, named: str | None, recipe: Recipe) -> Path:
    """--model_dir, or runs/RECIPE of a recipe that was named."""
    if not given and not named:
        raise ValueError('give --model_dir, a folder for checkpoints, events and recipe.json, or --recipe')
    return Path(given or Path('runs') / recipe.name)


def trained_parser(description: str, short: Sequence[str], formerly: Mapping[str, str] = FORMERLY) -> Parser:
    """The parser of a main that works from trained weights: which model, and which checkpoint of it."""
    parser = Parser(description, short, formerly)
    parser.add_argument('--model_dir', help='a folder that train.py wrote; its recipe.json says what the model is')
    parser.add_argument('--recipe', help='a row of deeplab/recipes, or a TOML file with one row')
    parser.add_argument('--checkpoint', default='latest',
                        help='latest or best of model_dir, average:N of its last N, or a path; default latest')
    parser.add_argument('--output_stride', dest='evaluation.output_stride', metavar='X', default=argparse.SUPPRESS,
                        help='output stride to predict with (evaluation.output_stride)')
    return parser


def choose_trained_recipe(name: str | None, model_dir: str | None, overrides: dict[str, Any],
                          checkpoint: str = 'latest') -> Recipe:
    """The recipe of trained weights: the named one, else that beside a checkpoint's path, else model_dir's.

    One named for a model_dir must describe the model that is in there.
    """
    own = Path(model_dir or '.') / beside.RECORD
    saved = own if model_dir and own.exists() else None
    if name:
        chosen = choose_recipe(name, model_dir, overrides, True)
        if saved:
            _refuse_another_model(name, chosen, saved)
        return chosen
    found = beside.find(checkpoint)
    if found and saved and found != saved.absolute():
        say(f'{checkpoint} is not of {model_dir}: the recipe is that of its own run, {found}')
    if not (found or saved):
        raise ValueError(f'{own} does not exist: name the --recipe that the weights were trained with' if model_dir
                         else 'give --model_dir, or --recipe with --checkpoint, or the path of a run as --checkpoint')
    return choose_recipe(None, str((found or own).parent), overrides, True)


def promised(recipe: Recipe, name: str | None, model_dir: str | None, checkpoint: str) -> Recipe:
    """Whose figure the recipe of trained weights carries: its row, whatever the flags of training and this one changed.

    Of a row in somebody's own file, whose name is in no table, only this command's flags are known.
    """
    return recipes.table().get(recipe.name) or choose_trained_recipe(name, model_dir, {}, checkpoint)


def _refuse_another_model(name: str, chosen: Recipe, saved: Path) -> None:
    changes = [line for line in recipes.difference(recipes.read_json(saved), chosen)
               if line.startswith(('model.', 'data.dataset:'))]
    if changes:
        raise ValueError(f'{saved.parent} was trained with another model than {name}:\n  ' + '\n  '.join(changes) +
                         '\nWithout --recipe its own is taken.')

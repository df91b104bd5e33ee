"""Commands of other systems in our mains, up to the recipe that they are."""

import functools
import importlib
import shlex
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from deeplab import run
from deeplab.command import flags
from deeplab.recipes import recipe as recipes
from tests.deeplab import oracle


class Own(NamedTuple):
    """A flag of the main that has the value, and nothing in the recipe."""

    name: str
    value: str


class Refused(NamedTuple):
    """An error with this in its message."""

    message: str


class Row(NamedTuple):
    """`flags` of `main`, what the official code does with the first of them, and what differs here from the defaults.

    `seen` has the fields that differ, or is what the line says that is printed where nothing does.
    """

    main: str
    flags: str
    official: str
    seen: Mapping[str, object] | str | Own | Refused

    @property
    def name(self) -> str:
        return self.flags.partition('=')[0].partition(' ')[0].removeprefix('--').replace('-', '_')


class Parsed(Exception):
    """Ends a main where its flags are a recipe."""


def command(main, arguments):
    """(the main's own flags, the recipe) of a command in our main, which goes no further than that."""
    seen = {}

    def parse(parser, argv, parse=flags.Parser.parse):
        seen['own'], overrides = parse(parser, argv)
        return seen['own'], overrides

    def choose_recipe(*arguments, choose=flags.choose_recipe):
        seen['recipe'] = choose(*arguments)
        raise Parsed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flags.Parser, 'parse', parse)
        patch.setattr(flags, 'choose_recipe', choose_recipe)
        with pytest.raises(Parsed):
            importlib.import_module(main).main(arguments)
    return seen['own'], seen['recipe']


def meaning(recipe):
    """Everything that a recipe decides, with the defaults of nets and backbones filled in."""
    made = run.resolve(recipe)
    found = {path: recipes.get(recipe, path) for path in recipes.fields()}
    found['model.options'] = oracle.with_defaults(made.net.build, recipe.model.options)
    found['model.backbone_options'] = oracle.with_defaults(made.backbone.build, recipe.model.backbone_options)
    return found | {'evaluation.output_stride': made.eval_output_stride}


@functools.cache
def plainly(main, *always):
    """The recipe of a command of few flags, and what it means."""
    _, recipe = command(main, always)
    return recipe, meaning(recipe)


def assert_seen(row, main, always, capsys):
    """What the row says, in our `main`, whose commands have the arguments `always`."""
    arguments = [*always, *shlex.split(row.flags)]
    if isinstance(row.seen, Refused):
        with pytest.raises((ValueError, SystemExit)) as stopped:
            meaning(command(main, arguments)[1])
        assert row.seen.message in f'{stopped.value} {capsys.readouterr().err}'
        return
    plain, means = plainly(main, *always)
    capsys.readouterr()
    own, recipe = command(main, arguments)
    said = capsys.readouterr().err
    if isinstance(row.seen, Own):
        value = getattr(own, row.seen.name)
        assert (value[0] if isinstance(value, list) else str(value)) == row.seen.value
    elif isinstance(row.seen, str):
        assert f'note: --{row.name}: ' in said and row.seen in said
        assert meaning(recipe) == means
    else:
        assert meaning(recipe) == meaning(recipes.override(plain, row.seen))
        assert meaning(recipe) != means

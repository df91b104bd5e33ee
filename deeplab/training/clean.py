"""--clean_model_dir: deletes a run, after an explicit yes and only where it is one."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from console.progress import say
from deeplab.run import Run
from deeplab.training import inputs
from deeplab.training.model_dir import locked


def restart(run: Run, model_dir: Path, yes: bool) -> None:
    """Deletes model_dir for a new training; what can't train, for want of records, deletes nothing. See `clean`."""
    for split in (run.recipe.data.train_split, run.recipe.data.eval_split):
        inputs.index_split(run, split)
    clean(model_dir, yes)


def clean(model_dir: Path, yes: bool, ask: Callable[[str], str] = input) -> None:
    """Deletes model_dir and all that is in it; links in it are removed, what they lead to is not.

    Raises:
      ValueError: it isn't a run's folder, another process holds it, or nobody said yes; nothing was deleted.
    """
    if not model_dir.is_symlink() and (not model_dir.exists() or model_dir.is_dir() and not any(model_dir.iterdir())):
        say(f'{model_dir} is empty: nothing to clean')
        return
    _refuse_others(model_dir)
    count = sum(1 for path in model_dir.rglob('*') if not path.is_dir())
    if not yes:
        if not sys.stdin.isatty():
            raise ValueError(f'--clean_model_dir would delete {model_dir} ({count} files): add --yes, or run it on a '
                             f'terminal and answer there')
        if ask(f'Delete {model_dir.resolve()} and the {count} files in it? Type yes: ').strip().lower() != 'yes':
            raise ValueError(f'{model_dir} was kept: --clean_model_dir needs a yes')
    with locked(model_dir):
        shutil.rmtree(model_dir)
    say(f'{model_dir}: {count} files deleted')


def _refuse_others(model_dir: Path) -> None:
    if model_dir.is_symlink():
        raise ValueError(f'{model_dir} is a link: --clean_model_dir deletes folders only; give {model_dir.resolve()}')
    recipe = model_dir / 'recipe.json'
    if not recipe.is_file() or recipe.is_symlink():
        raise ValueError(f'{model_dir} has no recipe.json, so it is not the folder of a run: --clean_model_dir leaves '
                         f'it alone')
    resolved = model_dir.resolve()
    for place, name in ((Path.cwd(), 'the current folder'), (Path.home(), 'the home folder')):
        if place.resolve().is_relative_to(resolved):
            raise ValueError(f'{model_dir} holds {name}: --clean_model_dir leaves it alone')

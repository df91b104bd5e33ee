"""A model_dir: its lock, its recipe, its checkpoints. What exists is never overwritten or lost."""

import contextlib
import fcntl
import itertools
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from console.files import whole, write_whole
from console.progress import say
from datasets.input_fn import RecordIndex
from deeplab.compat import estimator, tf
from deeplab.recipes import protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.run import Run


@contextlib.contextmanager
def locked(model_dir: Path, worker: int = 0) -> Iterator[None]:
    """Holds model_dir for this process; two trainings would tear each other's checkpoints. Workers of one don't.

    Raises:
      ValueError: another process holds it; says which.
    """
    model_dir.mkdir(parents=True, exist_ok=True)
    with open(model_dir / (f'lock.worker-{worker}' if worker else 'lock'), 'a+', encoding='utf8') as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            raise ValueError(f'{model_dir} is in use by {handle.read().strip() or "another process"}; stop that one or '
                             f'choose another --model_dir') from None
        handle.truncate(0)
        handle.write(f'process {os.getpid()} on {socket.gethostname()}')
        handle.flush()
        yield


def keep_recipe(model_dir: Path, recipe: Recipe, allow_change: bool) -> None:
    """Records the recipe of a new run; of a resumed one, refuses a change of anything that decides the weights.

    Raises:
      ValueError: lists the fields that differ.
    """
    path = model_dir / 'recipe.json'
    if path.exists():
        changes = recipes.difference(recipes.read_json(path), recipe)
        if changes and not allow_change:
            raise ValueError(f'{model_dir} was trained with another recipe:\n  ' + '\n  '.join(changes) +
                             '\nUse another --model_dir, or --allow_recipe_change to go on with the new one.')
        if changes:
            shutil.copy(path, model_dir / f'recipe.until-step-{latest_step(model_dir)}.json')
            say('recipe changed: ' + '; '.join(changes))
    recipes.write_json(recipe, path)


def latest_step(model_dir: Path) -> int:
    """The global step of the newest checkpoint, 0 without one."""
    latest = tf.train.latest_checkpoint(str(model_dir))
    return int(tf.train.load_checkpoint(latest).get_tensor('global_step')) if latest else 0


def ensure_usable(model_dir: Path) -> None:
    """Makes `checkpoint` point at the newest checkpoint that can be read whole, and names those that can't.

    Raises:
      ValueError: there are checkpoints and none can be read.
    """
    state = tf.train.get_checkpoint_state(str(model_dir))
    if not state:
        return
    candidates = list(state.all_model_checkpoint_paths) or [state.model_checkpoint_path]
    for path in reversed(candidates):
        problem = _unreadable(path)
        if problem is None:
            break
        say(f'{path} cannot be read ({problem}); trying the one before it')
    else:
        raise ValueError(f'none of the {len(candidates)} checkpoints in {model_dir} can be read; restore one from a '
                         f'backup, or start in another --model_dir')
    if path != state.model_checkpoint_path:
        _point_to(model_dir, [Path(candidate).name for candidate in candidates[:candidates.index(path) + 1]])


def _point_to(folder: Path, names: list[str]) -> None:
    """Writes the `checkpoint` file, oldest name first, relative so that the folder can be moved."""
    state = f'model_checkpoint_path: "{names[-1]}"\n' + ''.join(f'all_model_checkpoint_paths: "{n}"\n' for n in names)
    write_whole(folder / 'checkpoint', state)


def _unreadable(prefix: str) -> str | None:
    """What is wrong with a checkpoint, or None; reading every tensor checks every checksum."""
    try:
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        return str(error).splitlines()[0]
    return None


def _free(path: Path) -> Path:
    """The path, or where it exists with the first number behind it that is free."""
    names = itertools.chain([path.name], (f'{path.name}-{number}' for number in itertools.count(2)))
    return next(free for free in map(path.with_name, names) if not free.exists())


def measure(run: Run, index: RecordIndex) -> dict[str, Any]:
    """What scores have in common that can be compared: who was trained on what, scored on which images, and how."""
    recipe = run.recipe
    return {'recipe': recipe.name, 'train_split': recipe.data.train_split, 'dataset': run.dataset.name,
            'split': recipe.data.eval_split, 'num_images': index.num_examples,
            'list_sha256': index.manifest['list_sha256'] if index.manifest else None,
            **{f'protocol.{name}': value for name, value in protocol.describe(recipe).items()}}


class BestCheckpoint(estimator.Exporter):
    """Keeps the checkpoint with the best mean IoU in model_dir/best, outside the rotation of the newest ones.

    By another measure than the one that is recorded there it starts anew, and what is there moves aside.
    """

    name = 'best'

    def __init__(self, model_dir: Path, measure: Mapping[str, Any]):
        self._folder = model_dir / 'best'
        self._record = self._folder / 'best.json'  # what a restart has to know as well
        stored = json.loads(self._record.read_text()) if self._record.exists() else {}
        wanted = json.loads(json.dumps(measure))
        recorded = stored.get('measure', {})  # what one side lacks is of another version
        others = [f'{name}: {recorded[name]} -> {wanted[name]}' for name in wanted
                  if name in recorded and recorded[name] != wanted[name]]
        self._former: Path | None = None
        if others:
            self._former = _free(model_dir / f'best.until-step-{latest_step(model_dir)}')
            say(f'{self._folder} was chosen by scores that others cannot be compared with:\n  ' + '\n  '.join(others) +
                f'\nThe best checkpoint is looked for anew; that one goes to {self._former}')
            stored = {}
        self._best = {'mean_iou': -1.0, 'global_step': -1, 'worse_steps': []} | stored | {'measure': wanted}

    @property
    def evaluations_since(self) -> int:
        """How many steps were evaluated since the best one."""
        return len(self._best['worse_steps'])

    def knows(self, step: int) -> bool:
        """Whether that step was evaluated."""
        return step in (self._best['global_step'], *self._best['worse_steps'])

    def describe(self) -> str:
        best = self._best
        return f'mean IoU {100 * best["mean_iou"]:.2f} of step {best["global_step"]}, kept in {self._folder}'

    def export(self, estimator: estimator.Estimator, export_path: str, checkpoint_path: str,
               eval_result: Mapping[str, Any], is_the_final_export: bool) -> str | None:
        if self._former:
            self._folder.rename(self._former)
            self._former = None
        score, step = float(eval_result['mean_iou']), int(eval_result['global_step'])
        before, best_step, worse = (self._best[key] for key in ('mean_iou', 'global_step', 'worse_steps'))
        say(f'step {step}: mean IoU {100 * score:.2f}, pixel accuracy {100 * eval_result["pixel_accuracy"]:.2f}'
            f'{", the best so far" if score > before else f" (best {100 * before:.2f})"}')
        if score > before:
            self._keep(Path(checkpoint_path), self._best | {'mean_iou': score, 'global_step': step, 'worse_steps': []})
            return str(self._folder)
        if step != best_step:  # which a restart may evaluate again
            self._write(self._best | {'worse_steps': sorted({*worse, step})})
        return None

    def _write(self, best: dict[str, Any]) -> None:
        write_whole(self._record, json.dumps(best) + '\n')
        self._best = best

    def _keep(self, prefix: Path, best: dict[str, Any]) -> None:
        for path in prefix.parent.glob(prefix.name + '.*'):
            with whole(self._folder / path.name) as aside:
                shutil.copyfile(path, aside)
        old = tf.train.latest_checkpoint(str(self._folder))
        _point_to(self._folder, [prefix.name])
        self._write(best)
        if old and Path(old).name != prefix.name:
            for path in self._folder.glob(Path(old).name + '.*'):
                path.unlink()

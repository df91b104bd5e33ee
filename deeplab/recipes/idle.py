"""Fields that do nothing beside the others of a recipe, or in a main: what a command is told. Imports no TensorFlow."""

from collections.abc import Callable, Collection, Iterator
from typing import Any

from deeplab.recipes.recipe import fields, get
from deeplab.recipes.schema import Recipe


def _of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: value in values


# field -> the one that decides, and for which of its values the field matters. What a loss or a protocol doesn't have
# is refused instead (deeplab.losses.check, deeplab.recipes.protocol.check).
NEEDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    'schedule.power': ('schedule.policy', _of('poly')),
    **dict.fromkeys(('schedule.end_learning_rate', 'schedule.decay_steps'), ('schedule.policy', _of('poly', 'cosine'))),
    **dict.fromkeys(('schedule.decay_factor', 'schedule.step_size'), ('schedule.policy', _of('step', 'exponential'))),
    **dict.fromkeys(('schedule.boundaries', 'schedule.values'), ('schedule.policy', _of('piecewise'))),
    'schedule.learning_rate': ('schedule.policy', lambda policy: policy != 'piecewise'),
    'schedule.slow_start_learning_rate': ('schedule.slow_start_steps', bool),
    'optimizer.momentum': ('optimizer.name', _of('momentum', 'rmsprop')),
    'optimizer.epsilon': ('optimizer.name', _of('adam', 'rmsprop')),
    **dict.fromkeys(('optimizer.beta1', 'optimizer.beta2'), ('optimizer.name', _of('adam'))),
    'model.merge_method': ('model.image_pyramid', bool),
    'init.head': ('init.checkpoint', bool),
    **dict.fromkeys(('evaluation.tile_overlap', 'evaluation.tile_weighting'), ('evaluation.tile_size', bool)),
    'evaluation.trimap_around': ('evaluation.trimap', bool),
}
# Sections and fields that only a training reads: trained weights are evaluated without them.
OF_TRAINING = ('schedule.', 'optimizer.', 'init.', 'batch_norm.', 'loss.', 'train.', 'data.')
ELSEWHERE_TOO = ('data.dataset', 'data.record_dir', 'data.eval_split', 'data.limit', 'loss.weight_decay',
                 'loss.weight_decay_rule', 'train.precision', 'train.data_format', 'train.deterministic', 'train.seed',
                 'train.eval_images', 'train.keep_checkpoints', 'train.summary_steps')


def lines(before: Recipe, after: Recipe, given: Collection[str], trained: bool = False) -> Iterator[str]:
    """A line for each of the `given` paths that changed its field and does nothing.

    `trained` says that the weights are there already.
    """
    for path in fields():
        other, matters = NEEDS.get(path, ('', bool))
        if get(before, path) == get(after, path) or not _given(path, given):
            continue
        if trained and _of_training_alone(path):
            yield f'{path} is of training alone, and changes nothing here'
        elif other and not matters(get(after, other)):
            yield f'{path} does nothing with {other} = {get(after, other)!r}'
        elif path == 'evaluation.fusion' and len(after.evaluation.scales) == 1 and not after.evaluation.flip:
            yield f'{path} does nothing with one scale that is not mirrored'


def _given(path: str, given: Collection[str]) -> bool:
    """Whether a command said it; a flag that sets data.X and evaluation.X does something by the second."""
    return any(name == path or name.startswith(f'{path}.') for name in given) and not (
        path.startswith('data.') and f'evaluation.{path.removeprefix("data.")}' in given)


def _of_training_alone(path: str) -> bool:
    return path.startswith(OF_TRAINING) and path not in ELSEWHERE_TOO

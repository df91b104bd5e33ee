"""Flags of other systems whose meaning depends on the rest of their command or on the recipe. Imports no TensorFlow.

A rule is called once, when all flags of a command are known, so the order that they stand in doesn't matter.
"""

import dataclasses
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from console.progress import say
from datasets import row as rows
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe

# A flag's value; of a switch, whether it is on.
Value: TypeAlias = str | bool
# A value that depends on the rest of the recipe: f(recipe) -> value, or KEEP for what the recipe has.
Late = Callable[[Recipe], Any]
KEEP: Any = object()


@dataclass(frozen=True)
class Said:
    """A command: the value of each foreign flag that has one, and what the main has itself."""

    given: Mapping[str, Value]
    own_flags: Collection[str]
    stride_field: str  # the field that the main's --output_stride sets
    defaults: Mapping[str, Any]  # system -> its Dialect


@dataclass
class Found:
    """What a rule makes of a command: fields with values or `Late`, flags of ours, and lines for the user."""

    overrides: dict[str, Any] = dataclasses.field(default_factory=dict)
    own: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)


def _rates_at_this_output_stride(said: Said) -> Found:
    """Official rates are literal: they belong to the output stride of their command."""
    return Found({'model.options.atrous_rates_stride':
                  lambda recipe: recipes.get(recipe, said.stride_field) or recipe.model.output_stride})


def _bounded_backbone(said: Said) -> Found:
    """The official flag bounds the activations of Xception as well as the head's; other backbones ignore it."""
    on = said.given['use_bounded_activation']
    return Found({'model.backbone_options.use_bounded_activation':
                  lambda recipe: on if recipe.model.backbone.startswith('xception') else KEEP})


def _cell(said: Said) -> Found:
    """The operations of a JSON file go into the recipe; the released file is here, and found by its name."""
    path = Path(str(said.given['dense_prediction_cell_json']))
    if not path.exists():
        return Found({'model.options.dense_prediction_cell': path.stem.removeprefix('dense_prediction_cell_')})
    try:
        return Found({'model.options.dense_prediction_cell': json.loads(path.read_text(encoding='utf8'))})
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error


# What the official train.py gives to Adam when its command doesn't say.
ADAM_DEFAULTS = {'adam_learning_rate': ('schedule.learning_rate', '0.001'),
                 'adam_epsilon': ('optimizer.epsilon', '1e-8')}


def _adam(said: Said) -> Found:
    """With adam the rate is adam_learning_rate from the first step to the last; the policy is of momentum alone."""
    if said.given.get('optimizer') != 'adam':  # then the recipe's own may be
        return Found()
    changes = {path: said.given.get(name, default) for name, (path, default) in ADAM_DEFAULTS.items()}
    rate = changes['schedule.learning_rate']
    # train.py@3880236 multiplies gradients, before any optimizer.
    return Found({'schedule.policy': 'constant', 'schedule.slow_start_steps': 0, 'schedule.warmup_steps': 0,
                  'optimizer.multiply': 'gradient'} | changes,
                 notes=[f'--optimizer adam: a constant rate of {rate}; base rate and policy are of momentum alone'])


def _clones(said: Said) -> Found:
    """Clones share the official batch; here each device has a batch of its own."""
    count = int(said.given['num_clones'])
    kind = 'cpu' if said.given.get('clone_on_cpu') else 'gpu'
    if count == 1 and kind == 'gpu':
        return Found(notes=['--num_clones: all GPUs are used, each with a batch; --devices gpu:0 takes one'])
    if count < 1:
        raise ValueError(f'--num_clones {count}: there is at least one')

    def share(whole: int) -> int:
        if whole % count:
            raise ValueError(f'a batch of {whole} is not divisible by --num_clones {count}')
        return whole // count

    if 'train_batch_size' in said.given:
        batch: Any = share(int(said.given['train_batch_size']))
    else:
        official = said.defaults['official'].recipe
        batch = lambda recipe: share(recipe.train.batch_size) if recipe.name == official else KEEP  # noqa: E731
    devices = ','.join(f'{kind}:{i}' for i in range(count))
    return Found({'train.batch_size': batch}, ['--devices', devices] * ('--devices' in said.own_flags))


def _classes(said: Said) -> Found:
    """The dataset's row says how many classes there are; another number is an error."""
    count = int(said.given['num_classes'])

    def check(recipe: Recipe) -> Any:
        known = rows.load(recipe.data.dataset).num_classes
        if known != count:
            raise ValueError(f'--num_classes {count}: dataset {recipe.data.dataset} has {known}; choose another '
                             '--dataset, or give a row of your own')
        return KEEP
    return Found({'data.dataset': check})


def _fine_splits(said: Said) -> Found:
    """Official Cityscapes records are of train_fine and val_fine; those that were converted here, of train and val."""
    def split(name: str) -> Late:
        def found(recipe: Recipe) -> str:
            here = name.removesuffix('_fine')
            written = any(Path(recipe.data.record_dir).glob(f'{name}-*'))
            if here == name or recipe.data.dataset != 'cityscapes' or written:
                return name
            say(f'note: split {name} is {here} here')
            return here
        return found
    fields = {'train_split': 'data.train_split', 'eval_split': 'data.eval_split'}
    return Found({path: split(str(said.given[flag])) for flag, path in fields.items() if flag in said.given})


def _drop_path(said: Said) -> Found:
    """The official probability falls until the end of the training, of NAS backbones alone."""
    def steps(recipe: Recipe) -> Any:
        if not recipe.model.backbone.startswith('nas_'):
            return KEEP
        if not recipe.train.max_steps:
            raise ValueError('--drop_path_keep_prob falls until the last step: give --max_steps, not epochs')
        return recipe.train.max_steps
    return Found({'model.backbone_options.drop_path_steps': steps})


# rishizek/tensorflow-deeplab-v3-plus@f6b416b:deeplab_model.py: what --learning_rate_policy piecewise is, whatever else
# is given; its train.py has the number of images.
RISHIZEK_EPOCHS, RISHIZEK_IMAGES = (100, 150, 200), 10582


def _piecewise_of_imagenet(said: Said) -> Found:
    """rishizek's piecewise is of ImageNet: 0.1 for a batch of 128, a tenth of it after 100, 150 and 200 epochs."""
    if said.given['learning_rate_policy'] != 'piecewise':
        return Found()
    return Found({
        'schedule.boundaries': lambda recipe: [int(RISHIZEK_IMAGES / recipe.train.batch_size * epoch)
                                               for epoch in RISHIZEK_EPOCHS],
        'schedule.values': lambda recipe: [0.1 * recipe.train.batch_size / 128 * decay
                                           for decay in (1, 0.1, 0.01, 0.001)]})


IMAGENET = {'xception_65': 'catalog:xception_65_imagenet', 'resnet_v1_50': 'catalog:resnet_v1_50'}


def _keras_weights(said: Said) -> Found:
    """irvingzhang0512's `imagenet` are the backbone's weights."""
    if said.given['model_weights'] != 'imagenet' or '--checkpoint' in said.own_flags:
        return Found()
    return Found({'init.checkpoint': lambda recipe: IMAGENET.get(recipe.model.backbone, 'catalog:'
                                                                 + recipe.model.backbone)})


KERAS_EPOCHS, KERAS_STEPS = 300, 30000


def _keras_steps(said: Said) -> Found:
    """The length of a run; of irvingzhang0512's that of poly, where --epochs (each of --training_steps) end the run."""
    steps = said.given.get('training_number_of_steps')
    if not {'epochs', 'training_steps'} & set(said.given):
        return Found({'train.max_steps': steps})
    epochs = said.given.get('epochs', str(KERAS_EPOCHS))
    length = {'train.max_steps': int(said.given['training_steps']) * int(epochs)} if 'training_steps' in said.given \
        else {'train.epochs': epochs}
    return Found({'schedule.decay_steps': steps or KERAS_STEPS} | length)


RULES: Mapping[str, Callable[[Said], Found]] = {
    'rates_at_this_output_stride': _rates_at_this_output_stride, 'bounded_backbone': _bounded_backbone, 'cell': _cell,
    'drop_path': _drop_path, 'adam': _adam, 'clones': _clones, 'classes': _classes, 'fine_splits': _fine_splits,
    'piecewise_of_imagenet': _piecewise_of_imagenet, 'keras_weights': _keras_weights, 'keras_steps': _keras_steps}

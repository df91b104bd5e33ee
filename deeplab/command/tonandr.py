"""The JSON of tonandr/ai-platform, which describes run and network, as a recipe.

The file is a user's and isn't trusted: unknown keys are refused with the nearest names, and every number is bounded.
"""

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from console.choices import choose, refuse_unknown
from datasets import convert
from datasets import row as rows
from deeplab.nets.parts.dense_prediction_cell import FIELDS, load_cell
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from pretrained import released

ROW = 'deeplabv3_mnv2_dpc_voc_tonandr'
PATTERN = 'semantic_segmentation_deeplabv3plus_conf*.json'
README_NAME = 'semantic_segmentation_deeplabv3plus_conf_win.json'
MODES = ('train', 'evaluate')
SPLITS = ('train', 'val')
MAX_BYTES = 1 << 20
MAX_BRANCHES = 64
# Output stride -> blocks of MobileNetV2 up to it: Keras' block_5_add and block_12_add.
BLOCKS = {8: 6, 16: 13}
NUM_CLASSES = 21


@dataclass(frozen=True)
class Key:
    """What a key holds, as a bounded number or another kind of value, and the field that it sets or what it does."""

    kind: type
    least: float = 0
    most: float = 0
    field: str = ''
    says: str = ''


KEYS = {
    'mode': Key(str, says='train or evaluate'),
    'raw_data_path': Key(str, says='folder of VOCdevkit, and of `records`, `model` and `results`'),
    'model_loading': Key(bool, says='a run that exists is resumed; --clean_model_dir starts anew'),
    'multi_gpu': Key(bool, says='that many GPUs; false: whatever there is'),
    'num_gpus': Key(int, 1, 64, says='with multi_gpu'),
    'hps.lr': Key(float, 0, 10, 'schedule.learning_rate'),
    'hps.beta_1': Key(float, 0, 1, 'optimizer.beta1'),
    'hps.beta_2': Key(float, 0, 1, 'optimizer.beta2'),
    'hps.decay': Key(float, 0, 0, says='must be 0'),
    'hps.epochs': Key(int, 1, 10**6, 'train.epochs'),
    'hps.batch_size': Key(int, 1, 4096, 'train.batch_size'),
    'hps.weight_decay': Key(float, 0, 10, 'loss.weight_decay'),
    'hps.bn_momentum': Key(float, 0, 1, 'batch_norm.decay'),
    'hps.bn_scale': Key(bool, says='must be true'),
    'hps.reduce_lr_factor': Key(float, 0, 1, says='the learning rate is constant, as 0.99999 left it nearly'),
    'nn_arch.output_stride': Key(int, min(BLOCKS), max(BLOCKS), 'model.output_stride'),
    'nn_arch.image_size': Key(int, 32, 4096, says='crop, and longer side of the image, in training and evaluation'),
    'nn_arch.num_classes': Key(int, NUM_CLASSES, NUM_CLASSES, says='must be 21, Pascal VOC'),
    'nn_arch.mv2_depth_multiplier': Key(float, 0.05, 4, 'model.backbone_options.depth_multiplier'),
    'nn_arch.depth_multiplier': Key(float, 0, 4, says='has no meaning, as there'),
    'nn_arch.conv_rate_multiplier': Key(int, 1, 64, says='of rates, at this output stride'),
    'nn_arch.reduction_size': Key(int, 1, 4096, 'model.options.cell_filters'),
    'nn_arch.dropout_rate': Key(float, 0, 0.99, 'model.options.dropout'),
    'nn_arch.concat_channels': Key(int, 1, 4096, 'model.options.cell_concat_filters'),
    'nn_arch.encoder_middle_conf': Key(list, field='model.options.dense_prediction_cell'),
}
NEEDED = ('mode', 'raw_data_path', 'nn_arch.output_stride', 'nn_arch.image_size', 'nn_arch.encoder_middle_conf')
# What a pair or a number in a cell may be.
CELL_BOUNDS = {'kernel': (1, 63), 'rate': (1, 4096), 'grid_size': (1, 64), 'target_size_factor': (1, 64)}


@dataclass(frozen=True)
class Task:
    """What a JSON asks for; `folder` is its raw_data_path."""

    mode: str
    folder: Path
    devices: str
    recipe: Recipe
    notes: tuple[str, ...]


def find(folder: Path) -> Path:
    """The JSON of a folder, under the name that the README gives it, or any of its system's."""
    found = sorted(folder.glob(PATTERN))
    named = [path for path in found if path.name == README_NAME]
    if not found:
        raise ValueError(f'{folder} has no {README_NAME}: run this where it is, or give --conf PATH')
    if len(found) > 1 and not named:
        raise ValueError(f'{folder} has {", ".join(path.name for path in found)}: choose one with --conf PATH')
    return (named or found)[0]


def read(path: Path) -> Task:
    """The task that a JSON file describes; ValueError names file, key, value and choices."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f'has more than {MAX_BYTES} bytes: it is not a configuration')
        values = _flatten(json.loads(path.read_text(encoding='utf-8-sig')))
        _check(values)
        return _task(values)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: {error}') from error


def _flatten(content: Any, prefix: str = '') -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise ValueError(f'{prefix.rstrip(".") or "the file"} is {content!r:.40}; it must be an object {{...}}')
    values: dict[str, Any] = {}
    for name, value in content.items():
        path = prefix + name
        if any(key.startswith(path + '.') for key in KEYS):
            values.update(_flatten(value, path + '.'))
        else:
            refuse_unknown('key', [path], KEYS)
            values[path] = value
    return values


def _check(values: Mapping[str, Any]) -> None:
    if missing := [path for path in NEEDED if path not in values]:
        raise ValueError(f'{missing[0]} is missing')
    for path, value in values.items():
        key = KEYS[path]
        if key.kind in (int, float):
            _check_number(path, value, key.kind, key.least, key.most)
        elif not isinstance(value, key.kind):
            raise ValueError(f'{path} is {value!r:.40}; it must be a {key.kind.__name__}')
    choose('mode', values['mode'], MODES)
    choose('nn_arch.output_stride', values['nn_arch.output_stride'], BLOCKS)
    if not values.get('hps.bn_scale', True):
        raise ValueError('hps.bn_scale is false: batch norm always has a scale here; set it to true')
    _check_cell(values['nn_arch.encoder_middle_conf'])


def records(folder: Path) -> Path:
    """The TFRecords of the VOCdevkit in raw_data_path, written when they aren't there yet."""
    target = folder / 'records'
    if not target.exists():
        convert.convert(rows.load(recipes.load(ROW).data.dataset), folder, target, SPLITS)
    return target


def imagenet(recipe: Recipe) -> str:
    """The weights that tonandr's backbone began with, where they were fetched; nothing otherwise.

    There they were fetched without asking; here `pretrained.fetch` does, when asked to.
    """
    name = f'catalog:mobilenet_v2_{recipe.model.backbone_options["depth_multiplier"]}_224'
    try:
        released.locate(name)
    except ValueError as error:
        print(f'note: training starts from random weights: {error}', file=sys.stderr)
        return ''
    return name


def _check_number(path: str, value: Any, kind: type, least: float, most: float) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not (whole or kind is float and isinstance(value, float) and math.isfinite(value)) or not least <= value <= most:
        only = f'{least}' if least == most else f'from {least} to {most}'
        what = 'a whole number' if kind is int else 'a number'
        raise ValueError(f'{path} is {value!r:.40}; it must be {what}, {only}')


def _check_cell(cell: list) -> None:
    where = 'nn_arch.encoder_middle_conf'
    if not 1 <= len(cell) <= MAX_BRANCHES:
        raise ValueError(f'{where} has {len(cell)} branches; it may have 1 to {MAX_BRANCHES}')
    for i, branch in enumerate(cell):
        if not isinstance(branch, Mapping):
            raise ValueError(f'{where}[{i}] is {branch!r:.40}; it must be an object {{...}}')
        choose(f'{where}[{i}].op', branch.get('op'), tuple(FIELDS))
        for name, (least, most) in CELL_BOUNDS.items():
            value = branch.get(name, [least, least])
            pair = value if isinstance(value, list) else [value, value]
            if len(pair) != 2 or isinstance(value, list) is False and name != 'kernel':
                raise ValueError(f'{where}[{i}].{name} is {value!r:.40}; it must be [height, width]')
            for side in pair:
                _check_number(f'{where}[{i}].{name}', side, int, least, most)
        _check_number(f'{where}[{i}].input', branch.get('input'), int, -1, MAX_BRANCHES)
    load_cell(cell)


def _task(values: Mapping[str, Any]) -> Task:
    changes = {KEYS[path].field: value for path, value in values.items() if KEYS[path].field}
    size, stride = values['nn_arch.image_size'], values['nn_arch.output_stride']
    changes['data.crop_size'] = (size, size)
    changes |= {f'{section}.{side}_resize': size for section in ('data', 'evaluation') for side in ('min', 'max')}
    changes['model.backbone_options.blocks'] = BLOCKS[stride]
    changes['model.options.dense_prediction_cell'] = [_branch(branch) for branch in
                                                      values['nn_arch.encoder_middle_conf']]
    if 'nn_arch.conv_rate_multiplier' in values:
        changes['model.options.cell_rates_stride'] = stride * values['nn_arch.conv_rate_multiplier']
    path = Path(values['raw_data_path'])
    if not path.is_dir():
        raise ValueError(f'raw_data_path {str(path)!r} is not a folder: write there the one that holds VOCdevkit')
    recipe = recipes.override(recipes.load(ROW), changes)
    return Task(values['mode'], path, _devices(values), recipe, tuple(_notes(values)))


def _branch(branch: Mapping[str, Any]) -> dict[str, Any]:
    """A branch with its values by the net's names; one kernel side stands for both of a window."""
    kernel = branch.get('kernel')
    square = branch['op'] == 'pyramid_pooling' and isinstance(kernel, int)
    return dict(branch) | ({'kernel': [kernel, kernel]} if square else {})


def _devices(values: Mapping[str, Any]) -> str:
    return ','.join(f'gpu:{i}' for i in range(values.get('num_gpus', 1))) if values.get('multi_gpu') else 'auto'


def _notes(values: Mapping[str, Any]) -> Iterator[str]:
    """What isn't as tonandr had it."""
    spoken = ['nn_arch.depth_multiplier'] * ('nn_arch.depth_multiplier' in values)
    if values.get('hps.reduce_lr_factor', 1) != 1:
        spoken.append('hps.reduce_lr_factor')
    if values['mode'] == 'train' and not values.get('model_loading'):
        spoken.append('model_loading')
    return (f'{path}: {KEYS[path].says}' for path in spoken)

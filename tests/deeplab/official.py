"""The configuration of the recorded evaluation, export and training: MobileNetV2 at output stride 16, VOC classes."""

from pathlib import Path

import numpy as np

from deeplab import run
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.training.estimators import model_variables
from tests import models
from tests.deeplab import fill

CONFIG = 'mnv2_os16_voc'
FIELDS = {
    'data.dataset': 'voc2012', 'data.crop_size': (65, 65), 'model.net': 'deeplabv3',
    'model.options': {'atrous_rates': []},
    # Determinism is switched on for a whole process and can't be taken back; other tests share it.
    'train.deterministic': False,
}


def recipe(changes=None) -> Recipe:
    """Its recipe, with fields replaced by path."""
    return recipes.override(Recipe(), FIELDS | (changes or {}))


def resolved(changes=None) -> run.Run:
    return run.resolve(recipe(changes))


def write_checkpoint(folder: Path, rule: str = 'A', **replaced) -> str:
    """A checkpoint of step 0 with the fill rule's values, but for those of `replaced`; returns its prefix."""
    values = {name: fill.value(name, shape, rule) for name, shape in model_variables(resolved()).items()}
    assert set(replaced) <= set(values)
    return models.save(values | replaced | {'global_step': np.int64(0)}, folder / 'model.ckpt-0')

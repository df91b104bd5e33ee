"""The configuration of the recorded evaluation, export and training: MobileNetV2 at output stride 16, VOC classes."""

from deeplab import recipe as recipes
from deeplab import run
from deeplab.schema import Recipe

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

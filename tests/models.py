"""Model directories without training: a recipe and checkpoints of values drawn from the variables' names."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from deeplab import run
from deeplab.compat import tf
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.training.estimators import model_variables
from tests.deeplab import fill

TINY = {
    'data.dataset': 'synthetic', 'data.crop_size': (65, 65), 'model.backbone_options': {'depth_multiplier': 0.1},
    'model.options': {'aspp_convs_filters': 16, 'decoder_filters': 16},
    # Determinism is switched on for a whole process and can't be taken back; other tests share it.
    'train.deterministic': False,
}


def tiny(**changes) -> Recipe:
    """A recipe whose net is built in a second; `changes` by path, with '__' for the dot."""
    return recipes.override(Recipe(), TINY | {path.replace('__', '.'): value for path, value in changes.items()})


def shapes(recipe: Recipe) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the recipe's model variables."""
    return model_variables(run.resolve(recipe))


def write_checkpoint(recipe: Recipe, prefix: Path, step: int | None, rule: str = 'A') -> str:
    """A checkpoint of the recipe's model; without a step, as released ones may be."""
    values = {name: fill.value(name, shape, rule) for name, shape in shapes(recipe).items()}
    return save(values | ({} if step is None else {'global_step': np.int64(step)}), prefix)


def write_model_dir(recipe: Recipe, folder: Path) -> Path:
    """What a training leaves: recipe.json, checkpoints of steps 3 and 7, and the best, of step 3."""
    variables = shapes(recipe)
    recipes.write_json(recipe, folder / 'recipe.json')
    for prefix, step, rule in (('best/model.ckpt-3', 3, 'B'), ('model.ckpt-3', 3, 'B'), ('model.ckpt-7', 7, 'A')):
        values = {name: fill.value(name, shape, rule) for name, shape in variables.items()}
        save(values | {'global_step': np.int64(step)}, folder / prefix)
    return folder


def save(values: Mapping[str, np.ndarray], prefix: Path) -> str:
    """A checkpoint of the values by name; returns its prefix."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.raw_ops.SaveV2(
            prefix=str(prefix), tensor_names=list(values), shape_and_slices=[''] * len(values),
            tensors=[tf.constant(value) for value in values.values()]))
    (prefix.parent / 'checkpoint').write_text(f'model_checkpoint_path: "{prefix.name}"\n')
    return str(prefix)

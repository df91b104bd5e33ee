"""Epochs -> steps. Imports no TensorFlow.

Done once, when a training starts: the recipe that is recorded and compared on a restart counts in steps.
"""

import dataclasses
import math
from typing import Any

from deeplab.recipes.schema import Recipe

COUNTED = ('decay_steps', 'step_size', 'slow_start_steps', 'warmup_steps', 'start_step')


def in_steps(recipe: Recipe, num_examples: int, images_per_step: int) -> Recipe:
    """The recipe with `train.epochs` and a schedule in epochs resolved; an epoch ends with the step that completes it.

    Raises:
      ValueError: neither max_steps nor epochs is given.
    """
    def steps(epochs: float) -> int:
        return math.ceil(epochs * num_examples / images_per_step)

    train, schedule = recipe.train, recipe.schedule
    if train.max_steps <= 0 and train.epochs <= 0:
        raise ValueError(f'train.max_steps is {train.max_steps} and train.epochs {train.epochs}: give one of them')
    if schedule.unit == 'epochs':
        counted: dict[str, Any] = {name: steps(getattr(schedule, name)) for name in COUNTED}
        counted['boundaries'] = tuple(steps(epochs) for epochs in schedule.boundaries)
        schedule = dataclasses.replace(schedule, unit='steps', **counted)
    if train.epochs:
        train = dataclasses.replace(train, max_steps=steps(train.epochs), epochs=0.0)
    return dataclasses.replace(recipe, train=train, schedule=schedule)

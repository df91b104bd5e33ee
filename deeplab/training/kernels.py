"""Decides whose kernels a training takes, and says it."""

import dataclasses

from console.progress import say
from deeplab.kernels import choice
from deeplab.run import Run


def decided(run: Run) -> Run:
    """The Run with `train.kernels` as what it is here, which a model_dir records and a resume must repeat.

    Raises:
      ValueError: the recipe asks for our own, and they can't be had.
    """
    options = run.recipe.train
    kernels, reason = choice.chosen(options.kernels, options.precision)
    if kernels == 'own':
        say(f"kernels: our own batch norm, features in {options.precision} (train.kernels = 'tensorflow' is without)")
    elif reason:
        say(f"kernels: TensorFlow's ({reason})")
    train = dataclasses.replace(options, kernels=kernels)
    return dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, train=train))

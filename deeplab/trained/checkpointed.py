"""A trained model: a Run with a checkpoint that fits it. What evaluation, inference and export start from."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeplab.compat import estimator, tf
from deeplab.model_fn import model_fn
from deeplab.recipes import beside
from deeplab.run import Run
from deeplab.trained import averages
from deeplab.training.estimators import make_estimator, model_variables
from pretrained import released, restore

STEP = 'global_step'


@dataclass(frozen=True)
class Trained:
    """`prefix` is the checkpoint's path without `.index`; `step` is None where it holds none, as released ones do.

    `averaged` names the checkpoints that it is the mean of, if it is one.
    """

    run: Run
    prefix: str
    step: int | None
    averaged: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Which weights, in words."""
        return self.prefix if self.step is None else f'{self.prefix}, step {self.step}'

    def make_estimator(self, model_dir: Path) -> estimator.Estimator:
        """An Estimator to evaluate and predict with; give it `prefix` as checkpoint_path."""
        base = make_estimator(self.run, model_dir)
        return estimator.Estimator(_weights_only_model_fn, config=base.config,
                                   params={'run': self.run, 'step': self.step or 0})


def checkpoints(model_dir: Path | None, choice: str, row: str = '') -> list[str]:
    """The prefixes that 'latest', 'best', 'all', 'average:N', a path or catalog:NAME stand for; 'all' by their steps.

    Without a model_dir, 'latest' is the released checkpoint that the recipe of the name `row` measures. A mean is
    written to model_dir/average.

    Raises:
      ValueError: there is none; says where it looked.
    """
    if choice.startswith(averages.CHOICE):
        return [averages.write(model_dir, choice)]
    if choice not in beside.NAMED:
        return [released.locate(choice)]
    if model_dir is None and choice == 'latest' and (published := released.measured_by(row)):
        return [released.locate(published)]
    if model_dir is None:
        raise ValueError(f'--checkpoint {choice} is looked for in a model_dir: give --model_dir, or the path of a '
                         f'checkpoint')
    if choice != 'all':
        return [restore.locate(model_dir / 'best' if choice == 'best' else model_dir)]
    found = _all(model_dir)
    if not found:
        raise ValueError(f'{model_dir} holds no checkpoint: train first, or give the path of one')
    return found


def _all(model_dir: Path) -> list[str]:
    """Those in model_dir, and the best where it has been rotated out."""
    found = {path.stem: str(path.with_suffix('')) for folder in (model_dir / 'best', model_dir)
             for path in folder.glob('model.ckpt-*.index')}
    return [found[name] for name in sorted(found, key=lambda name: int(name.rpartition('-')[2]))]


def load(run: Run, prefixes: Sequence[str]) -> list[Trained]:
    """Each checkpoint with the Run, after comparing names and shapes: Estimator restores other class counts in silence.

    Raises:
      ValueError: a checkpoint is damaged, or isn't of this model.
    """
    variables = model_variables(run)
    found = []
    for prefix in prefixes:
        report = restore.plan(prefix, variables)
        _check_class_count(run, report)
        # Only training builds auxiliary heads; looking for them costs a second graph.
        auxiliary = model_variables(run, training=True) if report.unused else ()
        restore.check_compatible(prefix, variables, optional=auxiliary)
        reader = tf.train.load_checkpoint(prefix)
        found.append(Trained(run, prefix, int(reader.get_tensor(STEP)) if reader.has_tensor(STEP) else None,
                             averages.sources(prefix)))
    return found


def load_one(run: Run, model_dir: Path | None, choice: str) -> Trained:
    """The checkpoint that 'latest', 'best' or a path stands for, with the Run; ValueError as in `load`."""
    if choice == 'all':
        raise ValueError('--checkpoint all is for evaluate.py; choose latest, best, average:N or a path')
    return load(run, checkpoints(model_dir, choice, run.recipe.name))[0]


def _check_class_count(run: Run, report: restore.Report) -> None:
    counts = {there[-1] for name in report.dropped_head() for _, there in [report.misshaped[name]]}
    if len(counts) == 1 and len(report.dropped_head()) == len(report.misshaped):
        raise ValueError(f'{report.prefix} was trained for {counts.pop()} classes, but {run.dataset.name} has '
                         f'{run.num_classes}: give the --dataset or --recipe that it was trained with, or another '
                         f'--checkpoint')


@contextlib.contextmanager
def folder_for_events(model_dir: Path | None) -> Iterator[Path]:
    """model_dir, or without one a folder that is thrown away: Estimator always writes somewhere."""
    if model_dir is not None:
        yield model_dir
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _weights_only_model_fn(features: Mapping[str, tf.Tensor], labels: tf.Tensor | None, mode: str,
                           params: Mapping[str, Any]) -> estimator.EstimatorSpec:
    """model_fn, restored from the model's variables alone: a released checkpoint has no global step."""
    spec = model_fn(features, labels, mode, params)
    step = tf.train.get_global_step()
    weights = tf.model_variables()
    return spec._replace(scaffold=tf.train.Scaffold(
        saver=tf.train.Saver(weights),
        ready_for_local_init_op=tf.report_uninitialized_variables(weights),
        local_init_op=tf.group(tf.train.Scaffold.default_local_init_op(), step.assign(params['step']))))

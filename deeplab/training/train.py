"""Trains a Run with `tf.estimator.train_and_evaluate`, after everything that can be checked beforehand was checked."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from console.progress import Progress, say
from datasets import input_fn
from datasets.records import class_weights
from deeplab import optimizer
from deeplab.compat import estimator, tf
from deeplab.model_fn import WarmStart
from deeplab.recipes import epochs
from deeplab.recipes.schema import SMALLEST_BATCH_NORM_BATCH, Recipe, Train
from deeplab.reports import scope
from deeplab.run import Run
from deeplab.training import corrupt, eval_hooks, hooks, kernels, tracing, trained_on
from deeplab.training.devices import in_use, is_chief, worker
from deeplab.training.estimators import make_estimator, model_variables
from deeplab.training.inputs import eval_input, index_evaluation, index_split, train_input
from deeplab.training.model_dir import BestCheckpoint, ensure_usable, keep_recipe, latest_step, locked, measure
from pretrained import fitting, released, restore


def train(run: Run, model_dir: Path, *, strategy: tf.distribute.Strategy | None = None,
          allow_recipe_change: bool = False, profile: int = 0) -> int:
    """Trains until `train.max_steps`, from the newest checkpoint of model_dir if there is one.

    So many steps as `profile` says are traced.

    Returns:
      0 when the run is complete, 143 or 130 when SIGTERM or SIGINT ended it (a checkpoint of the last step is written).

    Raises:
      ValueError: something about recipe, data, checkpoint or model_dir is wrong; nothing was changed.
      Failed: the loss or the weights are not finite, or records are corrupt.
    """
    recipe = run.recipe
    train_index = index_split(run, recipe.data.train_split, recipe.data.on_corrupt)
    eval_index = index_evaluation(run)
    replicas = strategy.num_replicas_in_sync if strategy else 1
    run = kernels.decided(_in_steps(_weighted(run, train_index), train_index, replicas))
    recipe = run.recipe
    stop = hooks.StopSignal()
    if recipe.train.early_stopping_evals and worker()[1] > 1:
        raise ValueError('train.early_stopping_evals: of several workers only one evaluates and could stop, and the '
                         'others would wait for it; train on one machine, or set it to 0')
    with locked(model_dir, worker()[0]):
        if is_chief():
            ensure_usable(model_dir)
        variables = model_variables(run, training=True)
        warm_start = _initialise(run, model_dir, variables)
        if is_chief():
            data = trained_on.describe(run, train_index, replicas)
            trained_on.refuse_others(model_dir, data, allow_recipe_change)
            keep_recipe(model_dir, recipe, allow_recipe_change)
            trained_on.keep(model_dir, data)
        _announce(run, model_dir, train_index, eval_index, replicas)
        _warn_of_small_batches(run, variables)
        _warn_of_no_last_layers(run, variables)
        if note := optimizer.note(recipe.optimizer):
            say(note)
        if is_chief():
            corrupt.tell_skipped(train_index, model_dir, latest_step(model_dir))
        best = BestCheckpoint(model_dir, measure(run, eval_index))
        stop.install()
        chosen = make_estimator(run, model_dir, strategy, warm_start)
        training = estimator.TrainSpec(train_input(run, model_dir, train_index), recipe.train.max_steps,
                                       hooks=_train_hooks(run, model_dir, replicas, stop, best, profile))
        # hooks.Saver decides when: to Estimator's own throttle an evaluation's time is time since the last one.
        evaluation = estimator.EvalSpec(eval_input(run, eval_index), steps=None, start_delay_secs=0, throttle_secs=0,
                                        name=_evaluation_name(recipe),
                                        hooks=_eval_hooks(run, model_dir, eval_index, stop),
                                        exporters=[best])
        try:
            with corrupt.listed(train_index, eval_index):
                _evaluate_what_is_left(chosen, evaluation, recipe.train, best)
                if not _is_done(run, model_dir, best):
                    estimator.train_and_evaluate(chosen, training, evaluation)
                    _is_enough(run, best)
        except eval_hooks.Terminated:
            say('stopped during an evaluation; the checkpoint of the last step is written')
    return stop.exit_status


def _initialise(run: Run, model_dir: Path, variables: Mapping[str, tuple[int, ...]]) -> WarmStart | None:
    """What the weights start from; says it, and refuses a checkpoint that doesn't fit."""
    existing = tf.train.latest_checkpoint(str(model_dir))
    source = run.recipe.init.checkpoint
    if existing:
        restore.check_compatible(existing, variables)
        if source:
            say(f'{model_dir} holds a checkpoint (step {latest_step(model_dir)}): resuming from it, initialisation '
                f'from {source} is skipped')
        return None
    if not source:
        say('no init.checkpoint: training starts from random weights')
        return None
    found = released.locate(source)
    prefix = fitting.fitted(found, variables, model_dir / f'init.worker-{worker()[0]}')
    if prefix != found:
        say(f'{found}: fc6 and fc7 are reduced to those of {run.recipe.model.net}, in {prefix}')
    left_out = () if run.recipe.init.head else optimizer.last_layers(variables, run.recipe.optimizer)
    report = restore.plan(prefix, variables, scope=run.backbone.scope, exclude=left_out)
    say(report.text())
    return WarmStart(report.prefix, restore.assignment_map(report))


def _weighted(run: Run, index: input_fn.RecordIndex) -> Run:
    """The Run with the label weights that its rule makes of the training split's manifest."""
    rule = run.recipe.loss.class_weights
    if rule == 'none':
        return run
    if not index.manifest:
        raise ValueError(f'loss.class_weights = {rule} needs the class pixels of the manifest, and '
                         f'{run.recipe.data.record_dir} has none: write the records with datasets.convert, or give '
                         f'loss.label_weights')
    pixels = index.manifest['class_pixels']
    weights = (class_weights.enet(pixels) if rule == 'enet'
               else class_weights.median_frequency(pixels, _class_image_pixels(index.manifest)))
    if run.recipe.loss.label_weights not in ((), weights):  # what a resumed run recorded is the same
        raise ValueError(f'loss.label_weights differ from what loss.class_weights = {rule} makes of the training '
                         f'split; give one of the two, or train on the records that the run began with')
    say(f'class weights ({rule}): ' +
        ', '.join(f'{name} {weight:.2f}' for name, weight in zip(run.dataset.class_names, weights, strict=True)))
    loss = dataclasses.replace(run.recipe.loss, label_weights=weights)
    return dataclasses.replace(run, recipe=dataclasses.replace(run.recipe, loss=loss))


def _in_steps(run: Run, index: input_fn.RecordIndex, replicas: int) -> Run:
    """The Run with its epochs counted in steps, for as long as it lasts."""
    return dataclasses.replace(run, recipe=epochs.in_steps(run.recipe, index.num_examples,
                                                           run.images_per_step * replicas))


def _evaluate_what_is_left(chosen: estimator.Estimator, evaluation: estimator.EvalSpec, options: Train,
                           best: BestCheckpoint) -> None:
    """Evaluates the step that the run goes on from, if a kill or a signal came between its checkpoint and the score.

    So `best` and early stopping see the steps that they see without an interruption. Of several workers none does it,
    because a session of theirs waits for the others.
    """
    step = latest_step(Path(chosen.model_dir))
    is_evaluated = step >= options.max_steps or options.eval_steps and step % options.eval_steps == 0
    if not step or not is_evaluated or best.knows(step) or worker()[1] > 1:
        return
    say(f'step {step} is yet to be evaluated')
    checkpoint = chosen.latest_checkpoint()
    values = chosen.evaluate(evaluation.input_fn, hooks=evaluation.hooks, checkpoint_path=checkpoint,
                             name=evaluation.name)
    best.export(chosen, '', checkpoint, values, False)


def _is_done(run: Run, model_dir: Path, best: BestCheckpoint) -> bool:
    """Whether there is nothing left to train; says why."""
    step, steps = latest_step(model_dir), run.recipe.train.max_steps
    if step >= steps:
        say(f'{model_dir} is at step {step}, train.max_steps is {steps}: nothing to train')
        return True
    return _is_enough(run, best)


def _is_enough(run: Run, best: BestCheckpoint) -> bool:
    """Whether early stopping ends the run; says it."""
    limit = run.recipe.train.early_stopping_evals
    enough = _is_reached(limit, best)
    if enough:
        say(f'{best.evaluations_since} evaluations without a better one than {best.describe()}; '
            f'train.early_stopping_evals is {limit}')
    return enough


def _is_reached(limit: int, best: BestCheckpoint) -> bool:
    return 0 < limit <= best.evaluations_since


def _class_image_pixels(manifest: Mapping[str, Any]) -> list[int]:
    if 'class_image_pixels' not in manifest:
        raise ValueError('the manifest of the training split has no class_image_pixels, which '
                         'loss.class_weights = median_frequency needs: convert the dataset again')
    return manifest['class_image_pixels']


def _announce(run: Run, model_dir: Path, train_index: input_fn.RecordIndex, eval_index: input_fn.RecordIndex,
              replicas: int) -> None:
    recipe = run.recipe
    batch = recipe.train.batch_size
    say(f'{recipe.name}: {recipe.model.net} on {recipe.model.backbone}, {run.dataset.name} '
        f'({train_index.num_examples} {recipe.data.train_split}, {eval_index.num_examples} {recipe.data.eval_split} '
        f'images, {run.num_classes} classes) -> {model_dir}')
    evaluated = scope.of(recipe, run.dataset, eval_index)
    say(f'evaluations: {evaluated}')
    if evaluated.warning:
        say(f'warning: {evaluated.warning}')
    batches = f' x {recipe.train.accumulate_steps} batches' if recipe.train.accumulate_steps > 1 else ''
    say(f'batch: {batch} images per replica x {replicas} replica{"s" * (replicas > 1)}{batches} = '
        f'{run.images_per_step * replicas} per step; steps {latest_step(model_dir)} to {recipe.train.max_steps} are '
        f'{recipe.train.max_steps * run.images_per_step * replicas / train_index.num_examples:.1f} epochs in all')
    say(f'devices: {", ".join(in_use())}')


def _warn_of_small_batches(run: Run, variables: Iterable[str]) -> None:
    batch = run.recipe.train.batch_size
    has_batch_norm = any(name.endswith('/moving_mean') for name in variables)
    if has_batch_norm and run.recipe.batch_norm.mode == 'train' and batch < SMALLEST_BATCH_NORM_BATCH:
        say(f'warning: batch norm is trained on {batch} images per replica; below {SMALLEST_BATCH_NORM_BATCH} its '
            f'statistics are poor (the papers used 12 to 16). Consider --batch_norm.mode freeze_statistics or a larger '
            f'batch')


def _warn_of_no_last_layers(run: Run, variables: Collection[str]) -> None:
    """As by the official DeepLab, what is asked for last layers does nothing where a net has none of those names."""
    options = run.recipe.optimizer
    asked = ['init.head = false'] * (not run.recipe.init.head)
    asked += [f'optimizer.last_layer_multiplier = {options.last_layer_multiplier:g}'] * (
        options.last_layer_multiplier != 1)
    if asked and not optimizer.last_layers(variables, options):
        say(f'warning: {" and ".join(asked)} will do nothing: {run.recipe.model.net} has no variable with '
            f'{" or ".join(optimizer.last_layer_parts(options))} in its name. optimizer.multipliers takes any name')


def _train_hooks(run: Run, model_dir: Path, replicas: int, stop: hooks.StopSignal, best: BestCheckpoint,
                 profile: int) -> list[tf.train.SessionRunHook]:
    options = run.recipe.train
    chosen = [hooks.StopOnNan(), hooks.StopOnSignal(stop)]
    if is_chief():
        # The order matters: a NaN is found before the saver could write it; the saver evaluates, which isn't a step's
        # time.
        chosen.append(hooks.Console(str(model_dir), options.log_steps, options.max_steps,
                                    run.images_per_step * replicas))
        chosen.append(hooks.Saver(str(model_dir), options, stop))
        if profile:
            chosen.append(tracing.Profile(model_dir, profile))
    chosen.append(hooks.StopEarly(lambda: _is_reached(options.early_stopping_evals, best)))
    return chosen


def _evaluation_name(recipe: Recipe) -> str:
    """Its protocol is in it, because a resumed run may have another."""
    return scope.DURING_TRAINING + scope.folder(recipe)


def _eval_hooks(run: Run, model_dir: Path, index: input_fn.RecordIndex, stop: hooks.StopSignal
                ) -> list[tf.train.SessionRunHook]:
    return [eval_hooks.ShowProgress(lambda: Progress(index.num_examples, 'evaluating')),
            eval_hooks.PicturesToTensorBoard(model_dir / f'eval_{_evaluation_name(run.recipe)}',
                                             run.recipe.train.eval_images, run.dataset.class_names),
            eval_hooks.StopOnSignal(stop)]

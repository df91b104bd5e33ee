"""What a Run reads: the records of its splits, and the functions that make batches of them."""

from collections.abc import Callable
from pathlib import Path

from datasets import input_fn
from datasets.input import subset
from deeplab.compat import tf
from deeplab.run import Run
from deeplab.training.model_dir import latest_step


def index_split(run: Run, split: str, on_corrupt: str = 'stop') -> input_fn.RecordIndex:
    """The records of a split, as many as `data.limit` leaves; ValueError where they are missing or damaged."""
    data = run.recipe.data
    index = input_fn.index_records(data.record_dir, split, run.dataset, on_corrupt=on_corrupt)
    return subset.first(index, data.limit)


def index_evaluation(run: Run) -> input_fn.RecordIndex:
    """The records that are evaluated: of the evaluation split, as many as `evaluation.limit` leaves."""
    return subset.first(index_split(run, run.recipe.data.eval_split), run.recipe.evaluation.limit)


def train_input(run: Run, model_dir: Path, index: input_fn.RecordIndex
                ) -> Callable[..., tf.data.Dataset]:
    def build(input_context: tf.distribute.InputContext | None = None) -> tf.data.Dataset:
        context = input_context or tf.distribute.InputContext()
        return _untuned(input_fn.train_dataset(
            index, run.augmentation, batch_size=run.images_per_step, seed=run.recipe.train.seed,
            start_step=latest_step(model_dir), max_steps=run.recipe.train.max_steps,
            ignore_label=run.dataset.ignore_label, order=run.recipe.data.order,
            num_replicas=context.num_replicas_in_sync, pipeline=context.input_pipeline_id,
            num_pipelines=context.num_input_pipelines))
    return build


def eval_input(run: Run, index: input_fn.RecordIndex) -> Callable[[], tf.data.Dataset]:
    return lambda: _untuned(input_fn.eval_dataset(index, ignore_label=run.dataset.ignore_label))


def _untuned(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The dataset without TensorFlow's tuning of its parallelism, which is then that of the cores, 16 at most.

    The tuner's thread sleeps for up to a minute between two rounds. What ends it wakes it before it notes that it is to
    end, so that it may fall asleep again, and the end of the iterator, of training or of an evaluation, waits for it
    (tensorflow/tensorflow@044ee2a:tensorflow/core/framework/cancellation.cc, StartCancel, and
    @02145c2:tensorflow/core/framework/model.cc, OptimizeLoop).
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)

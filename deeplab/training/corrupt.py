"""What a run does about records that can't be read: it stops with a list of them, or counts those it skips."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from console.exits import Failed
from console.progress import say
from datasets import input_fn
from deeplab.compat import tf


@contextlib.contextmanager
def listed(*splits: input_fn.RecordIndex) -> Iterator[None]:
    """Turns the error of a corrupt record into Failed, which lists all corrupt records of the splits."""
    try:
        yield
    except (tf.errors.DataLossError, tf.errors.InvalidArgumentError) as error:
        for split in splits:
            try:
                input_fn.refuse_corrupt(split)
            except ValueError as found:
                raise Failed(str(found)) from error
        raise


def tell_skipped(index: input_fn.RecordIndex, model_dir: Path, step: int) -> None:
    """Says which records are skipped, and writes their number to TensorBoard as 'corrupt_records'."""
    if not index.corrupt:
        return
    say(f'data.on_corrupt = skip: the next good record stands for each of {len(index.corrupt)} corrupt ones of '
        f'{index.num_examples}:' + ''.join(f'\n  {bad}' for bad in index.corrupt))
    value = tf.Summary.Value(tag='corrupt_records', simple_value=len(index.corrupt))
    with tf.Graph().as_default():  # which the writer asks for, and doesn't look at
        tf.summary.FileWriterCache.get(str(model_dir)).add_summary(tf.Summary(value=[value]), step)

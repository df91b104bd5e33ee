"""What training and evaluation read their batches by."""

import pytest

from deeplab import run
from deeplab.training import inputs
from tests import models


@pytest.mark.parametrize('split', ['train', 'val'])
def test_no_thread_tunes_an_input_whose_end_would_wait_for_it(split, record_dir, tmp_path):
    """It sleeps for up to a minute: two of 12 iterators that were dropped after 12 s took 10 and 19 s to end."""
    made = run.resolve(models.tiny(data__record_dir=str(record_dir), train__max_steps=1))
    index = inputs.index_split(made, split)
    build = inputs.train_input(made, tmp_path, index) if split == 'train' else inputs.eval_input(made, index)
    assert build().options().autotune.enabled is False

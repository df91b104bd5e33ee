"""Corrupt records in training: it ends with a list of them, or skips and counts."""

import re
import shutil

import pytest

from console.exits import Failed
from datasets import input_fn
from datasets import row as rows
from datasets.records import tfrecord
from deeplab.compat import tf
from deeplab.training import corrupt
from tests.conftest import TINY, python
from tests.datasets import drawn
from tests.paths import ROOT


def flip(folder, split, shard, number):
    """Changes a bit in the image of a record, and returns the record's place in words."""
    path = tfrecord.find_shards(folder, split)[shard]
    data, offset = bytearray(path.read_bytes()), tfrecord.scan_offsets(path)[number]
    data[offset + 200] ^= 1
    path.write_bytes(data)
    return f'{path}: record {number} at byte {offset} ('


def test_an_error_in_the_data_lists_the_corrupt_records(tmp_path):
    drawn.write_split(tmp_path, 'train', 5)
    drawn.write_split(tmp_path, 'val', 5)
    splits = [input_fn.index_records(tmp_path, split) for split in ('val', 'train')]
    with pytest.raises(tf.errors.DataLossError), corrupt.listed(*splits):
        raise tf.errors.DataLossError(None, None, 'something else')
    places = [flip(tmp_path, 'train', 0, number) for number in (1, 3)]
    with pytest.raises(Failed, match=r'2 corrupt record\(s\)') as failed, corrupt.listed(*splits):
        raise tf.errors.DataLossError(None, None, 'corrupted record')
    assert all(place in str(failed.value) for place in places)
    with pytest.raises(ZeroDivisionError), corrupt.listed(*splits):
        raise ZeroDivisionError


def test_an_id_outside_the_classes_is_told_with_its_record(tmp_path):
    drawn.write_split(tmp_path, 'val', 3)  # of the ids 0, 1, 2 and 255
    two = drawn.with_classes(rows.load('voc2012'), class_names=('sky', 'sea'))
    split = input_fn.index_records(tmp_path, 'val', two)
    with pytest.raises(Failed) as failed, corrupt.listed(split):
        drawn.batches(lambda: input_fn.eval_dataset(split, ignore_label=255))
    assert '3 corrupt record(s)\n' in str(failed.value) and '(example_1): its label holds ids 2 (' in str(failed.value)
    assert 'pixels); classes are 0..1, ignored is 255\n' in str(failed.value)


@pytest.mark.slow
def test_training_ends_with_the_list_or_skips_and_counts(record_dir, tmp_path):
    damaged = tmp_path / 'records'
    shutil.copytree(record_dir, damaged)
    places = [flip(damaged, 'train', shard, 1) for shard in (0, 2)]
    arguments = ['train.py', '--recipe', 'demo', '--record_dir', damaged, *TINY, '--max_steps', 4]
    failed = python(*arguments, '--model_dir', tmp_path / 'stop', check=False)
    assert failed.returncode == 1 and 'error: 2 corrupt record(s)' in failed.stderr
    assert all(place in failed.stderr for place in places) and 'datasets.verify --repair' in failed.stderr

    skipped = python(*arguments, '--model_dir', tmp_path / 'skip', '--data.on_corrupt', 'skip')
    assert 'the next good record stands for each of 2 corrupt ones of 12' in skipped.stderr
    assert all(place in skipped.stderr for place in places)
    values = [value for path in (tmp_path / 'skip').glob('events.*')
              for event in tf.train.summary_iterator(str(path)) for value in event.summary.value]
    assert [value.simple_value for value in values if value.tag == 'corrupt_records'] == [2]


@pytest.mark.slow
def test_training_on_records_of_other_classes_ends_with_a_message(record_dir, tmp_path):
    """Records without a manifest, which a person takes for those of another dataset."""
    foreign = tmp_path / 'records'
    shutil.copytree(record_dir, foreign, ignore=lambda _, names: [name for name in names if 'manifest' in name])
    row = (ROOT / 'datasets' / 'rows' / 'synthetic.toml').read_text()
    two = 'classes = [{ name = "a" }, { name = "b" }]'
    (tmp_path / 'two.toml').write_text(re.sub(r'classes = \[.*?\n\]', two, row, flags=re.DOTALL))
    failed = python('train.py', '--recipe', 'demo', '--record_dir', foreign, '--dataset', tmp_path / 'two.toml', *TINY,
                    '--max_steps', 4, '--model_dir', tmp_path / 'run', check=False)
    assert failed.returncode == 1 and 'Traceback' not in failed.stderr
    assert 'error: 12 corrupt record(s)' in failed.stderr and 'classes are 0..1, ignored is 255' in failed.stderr

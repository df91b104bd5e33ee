"""Corrupt records in training: it ends with a list of them, or skips and counts."""

import shutil

import pytest

from console.exits import Failed
from datasets import input_fn
from datasets.records import tfrecord
from deeplab.compat import tf
from deeplab.training import corrupt
from tests.conftest import TINY, python
from tests.datasets import drawn


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

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.input.index import index_records
from datasets.records import tfrecord
from tests.datasets import drawn
from tests.paths import ROOT

RECORDS = st.builds(tfrecord.Record, filename=st.text(st.characters(exclude_categories=['Cs']), max_size=20),
                    image=st.binary(min_size=1, max_size=50), image_format=st.sampled_from(['jpeg', 'png']),
                    height=st.integers(1, 5000), width=st.integers(1, 5000), label=st.binary(min_size=1, max_size=50))


@settings(max_examples=100, deadline=None)
@given(RECORDS)
def test_a_record_is_read_as_it_was_written(record):
    serialized = tfrecord.serialize(record)
    assert tfrecord.parse(serialized) == record
    assert tfrecord.serialize(record) == serialized


def test_the_official_keys_are_written():
    example = tf.train.Example.FromString(tfrecord.serialize(drawn.record(3)))
    assert sorted(example.features.feature) == [
        'image/channels', 'image/encoded', 'image/filename', 'image/format', 'image/height',
        'image/segmentation/class/encoded', 'image/segmentation/class/format', 'image/width']


def rishizek(record: tfrecord.Record) -> bytes:
    """As rishizek/tensorflow-deeplab-v3-plus writes it: no file name, labels under keys of their own."""
    example = tf.train.Example()
    for key, value in {'image/encoded': record.image, 'image/format': b'png', 'label/encoded': record.label,
                       'label/format': b'png'}.items():
        example.features.feature[key].bytes_list.value.append(value)
    for key, value in {'image/height': record.height, 'image/width': record.width}.items():
        example.features.feature[key].int64_list.value.append(value)
    return example.SerializeToString()


def test_rishizeks_keys_are_read():
    record = drawn.record(3)
    parsed = tfrecord.parse(rishizek(record))
    assert (parsed.image, parsed.label, parsed.filename) == (record.image, record.label, '')
    assert (parsed.height, parsed.width) == (record.height, record.width)


def test_a_record_without_a_label_names_its_keys():
    example = tf.train.Example()
    example.features.feature['image/encoded'].bytes_list.value.append(b'x')
    with pytest.raises(ValueError, match=r'needs image/encoded and one of .*label/encoded; it has image/encoded'):
        tfrecord.parse(example.SerializeToString())


def test_the_official_evaluation_records_are_read():
    folder = ROOT / 'tests' / 'oracle'
    index = index_records(folder, 'e2e_val')
    assert index.num_examples == 3
    first = tfrecord.parse(tfrecord.read_first(folder / 'e2e_val-00000-of-00001.tfrecord'))
    assert (first.height, first.width) == (50, 70) == drawn.decoded(first.image).shape[:2]


def test_shard_names_are_the_official_ones(tmp_path):
    assert tfrecord.shard_name('train_aug', 3, 10) == 'train_aug-00003-of-00010.tfrecord'
    for name in ('train-00001-of-00002', 'train-00000-of-00002', 'train_aug-00000-of-00001.tfrecord',
                 'train.manifest.json', 'train-list.txt'):
        (tmp_path / name).touch()
    assert [path.name for path in tfrecord.find_shards(tmp_path, 'train')] == ['train-00000-of-00002',
                                                                             'train-00001-of-00002']
    (tmp_path / 'val.record').touch()
    assert [path.name for path in tfrecord.find_shards(tmp_path, 'val')] == ['val.record']


def test_offsets_are_where_the_records_are(tmp_path):
    made = drawn.write_split(tmp_path, 'train', 7)
    path = tmp_path / 'train-00000-of-00001.tfrecord'
    offsets = tfrecord.scan_offsets(path)
    assert offsets.dtype == np.int64 and len(offsets) == 7
    for offset, record in zip(offsets, made, strict=True):
        tail = tmp_path / 'tail'
        tail.write_bytes(path.read_bytes()[offset:])
        assert tfrecord.parse(tfrecord.read_first(tail)) == record


def test_every_cut_inside_a_record_is_noticed(tmp_path):
    drawn.write_split(tmp_path, 'train', 2)
    path = tmp_path / 'train-00000-of-00001.tfrecord'
    data = path.read_bytes()
    borders = {*tfrecord.scan_offsets(path).tolist(), len(data)} - {0}
    for length in range(len(data)):
        path.write_bytes(data[:length])
        if length in borders:
            assert len(tfrecord.scan_offsets(path)) < 2
        else:
            with pytest.raises(ValueError, match='is truncated or damaged|holds no records'):
                tfrecord.scan_offsets(path)


def test_a_full_disk_is_told(tmp_path):
    full = Path('/dev/full')
    if not full.exists():
        pytest.skip('/dev/full is a file of Linux')
    with pytest.raises(ValueError, match='/dev/full cannot be written: .*No space left on device'):
        tfrecord.write_shard(full, [drawn.record(0)])

import json

import numpy as np
import pytest

from datasets import row as rows
from datasets.convert import convert
from datasets.input.index import index_records
from datasets.records import manifest, tfrecord
from tests.datasets import drawn
from tests.datasets.records.test_tfrecord import rishizek

VOC = rows.load('voc2012')


@pytest.fixture
def converted(tmp_path):
    drawn.voc(tmp_path / 'raw', {'train': 7})
    convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=2, workers=1)
    return tmp_path / 'out'


def test_an_index_holds_every_record(converted):
    index = index_records(converted, 'train', VOC)
    assert index.num_examples == 7
    assert [len(offsets) for offsets in index.offsets] == [3, 4]
    assert [offsets[0] for offsets in index.offsets] == [0, 0]
    assert index.manifest['dataset'] == 'voc2012'


def test_records_without_a_manifest_are_taken(tmp_path):
    drawn.write_split(tmp_path, 'train', 5, num_shards=2)
    index = index_records(tmp_path, 'train')
    assert (index.num_examples, index.manifest) == (5, None)


def test_names_without_a_suffix_and_rishizeks_file(tmp_path):
    drawn.write_split(tmp_path, 'val', 3)
    (tmp_path / 'val-00000-of-00001.tfrecord').rename(tmp_path / 'val-00000-of-00001')
    assert index_records(tmp_path, 'val').num_examples == 3
    (tmp_path / 'val-00000-of-00001').rename(tmp_path / 'val.record')
    assert index_records(tmp_path, 'val').num_examples == 3


def test_a_missing_split_is_named_with_those_there(converted, tmp_path):
    with pytest.raises(ValueError, match=r"out has no shards of split 'val': splits that are there: train"):
        index_records(converted, 'val')
    with pytest.raises(ValueError, match=r"nowhere has no shards of split 'val': run `python -m datasets.convert`"):
        index_records(tmp_path / 'nowhere', 'val')


def test_a_shard_cut_at_a_border_differs_from_the_manifest(converted):
    shard = converted / 'train-00001-of-00002.tfrecord'
    offsets = tfrecord.scan_offsets(shard)
    shard.write_bytes(shard.read_bytes()[:offsets[-1]])
    with pytest.raises(ValueError, match=r'is not what its manifest says: train-00001.* in 3 records, not .* in 4'):
        index_records(converted, 'train')


def test_a_cut_inside_a_record_and_an_empty_shard(converted):
    shard = converted / 'train-00001-of-00002.tfrecord'
    shard.write_bytes(shard.read_bytes()[:-5])
    with pytest.raises(ValueError, match='train-00001-of-00002.tfrecord: record 3 at byte .* is truncated'):
        index_records(converted, 'train')
    shard.write_bytes(b'')
    with pytest.raises(ValueError, match='train-00001-of-00002.tfrecord: holds no records'):
        index_records(converted, 'train')


def test_shards_must_be_one_complete_set(converted):
    shard = converted / 'train-00001-of-00002.tfrecord'
    (converted / 'train-00000-of-00001.tfrecord').write_bytes(shard.read_bytes())
    with pytest.raises(ValueError, match="shards of 'train' are not one complete set: train-00000-of-00001"):
        index_records(converted, 'train')
    (converted / 'train-00000-of-00001.tfrecord').unlink()
    shard.unlink()
    with pytest.raises(ValueError, match='not one complete set: train-00000-of-00002.tfrecord;'):
        index_records(converted, 'train')


def test_a_manifest_of_other_shards(converted):
    path = converted / manifest.file_name('train')
    written = json.loads(path.read_text())
    written['shards'][0]['bytes'] += 1
    path.write_text(json.dumps(written))
    with pytest.raises(ValueError, match='is not what its manifest says: train-00000-of-00002.tfrecord has'):
        index_records(converted, 'train')
    path.write_text('{')
    with pytest.raises(ValueError, match=r'train.manifest.json: not a manifest'):
        index_records(converted, 'train')


def test_records_of_another_dataset_are_refused(converted):
    with pytest.raises(ValueError, match='train was converted from voc2012, whose classes are not those of camvid'):
        index_records(converted, 'train', rows.load('camvid'))


def test_a_palette_label_is_refused_never_read_as_luma(tmp_path):
    drawn.palette_png(tmp_path / 'label.png', np.array([[1, 15, 255]], np.uint8))
    made = drawn.record(0)
    foreign = tfrecord.Record('a', made.image, 'png', 9, 13, (tmp_path / 'label.png').read_bytes())
    tfrecord.write_shard(tmp_path / 'train-00000-of-00001', [foreign])
    with pytest.raises(ValueError, match='train-00000-of-00001: its labels are not 8-bit greyscale PNGs'):
        index_records(tmp_path, 'train')


def test_other_contents_are_refused(tmp_path):
    import tensorflow as tf
    with tf.io.TFRecordWriter(str(tmp_path / 'train.record')) as writer:
        writer.write(rishizek(drawn.record(0)))
    assert index_records(tmp_path, 'train').num_examples == 1
    with tf.io.TFRecordWriter(str(tmp_path / 'train.record')) as writer:
        writer.write(b'')
    with pytest.raises(ValueError, match='train.record: a record needs image/encoded'):
        index_records(tmp_path, 'train')

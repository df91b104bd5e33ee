import dataclasses
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from console.exits import guarded
from datasets import row as rows
from datasets import verify
from datasets.convert import convert
from datasets.input.augment import Augmentation
from datasets.input.index import index_records, refuse_corrupt
from datasets.input_fn import train_dataset
from datasets.records import manifest, repair, tfrecord
from tests.datasets import drawn

VOC = rows.load('voc2012')
SPLIT = 'train'


@pytest.fixture
def converted(tmp_path):
    drawn.voc(tmp_path / 'raw', {SPLIT: 9})
    convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=3, workers=1)
    return tmp_path / 'out'


def shard_of(folder, number):
    return folder / tfrecord.shard_name(SPLIT, number, 3)


def flip(path, number, place=150):
    """Changes a bit of a record's data, where the image is."""
    data = bytearray(path.read_bytes())
    data[tfrecord.scan_offsets(path)[number] + place] ^= 4
    path.write_bytes(data)


def rewrite(path, number, **changes):
    """Replaces a record by another one with right CRCs."""
    kept = [dataclasses.replace(record, **(changes if place == number else {}))
            for place, record in enumerate(read(path))]
    tfrecord.write_shard(path, kept)


def read(path):
    return [tfrecord.parse(data) for data in drawn.batches(lambda: tf.data.TFRecordDataset(str(path)))]


def test_sound_records_pass(converted, capsys):
    assert verify.main(['--record_dir', str(converted)]) == 0
    assert capsys.readouterr().out == 'train: 9 good records in 3 shards (CRC, keys, decoding, sizes, ids, manifest)\n'


def test_records_without_a_manifest_or_a_name_pass(tmp_path):
    drawn.write_split(tmp_path, 'val', 3)
    report = verify.verify(tmp_path, 'val')
    assert report.sound and 'no manifest' in str(report)


SMALL = drawn.png(np.zeros((3, 4), np.uint8))
FAULTS = [
    ({'image': b'no image'}, r'cannot be decoded \(DecodeJpeg: Unknown image file format'),
    ({'label': drawn.png(np.zeros((3, 4, 3), np.uint8))}, 'its label is not an 8-bit greyscale PNG of ids'),
    ({'label': SMALL[:-20]}, r'cannot be decoded \(DecodePng: Invalid PNG data'),
    ({'label': SMALL}, 'its label is 4x3 but its image is 11x17'),
    ({'height': 5}, 'says that it is 11x5 but its image is 11x17'),
    ({'label': drawn.png(np.full((17, 11), 77, np.uint8))}, r'its label holds ids 77 \(187 pixels\); classes are'),
    ({'label': b''}, 'its label is not an 8-bit greyscale PNG of ids'),
]


@pytest.mark.parametrize(('changes', 'reason'), FAULTS)
def test_a_bad_record_is_named_with_shard_and_offset(converted, changes, reason):
    shard = shard_of(converted, 0)
    rewrite(shard, 1, **changes)
    report = verify.verify(converted, SPLIT)
    assert len(report.bad) == 1 and len(report.names) == 8
    found = report.bad[0]
    assert (found.shard, found.number, found.offset) == (str(shard), 1, tfrecord.scan_offsets(shard)[1])
    assert str(found).startswith(f'{shard}: record 1 at byte {found.offset} (train_1): ')
    assert re.match(reason, found.reason), found.reason


def test_a_flipped_bit_and_a_cut(converted):
    flip(shard_of(converted, 0), 2)
    cut = shard_of(converted, 2)
    cut.write_bytes(cut.read_bytes()[:-5])
    report = verify.verify(converted, SPLIT)
    assert [(bad.number, bad.name, bad.reason) for bad in report.bad] == [
        (2, 'train_2', 'the CRC of its data is wrong'), (2, '?', 'the file ends within it')]
    assert [problem.split(',')[0] for problem in report.problems if 'sha256' in problem]
    assert any(problem.startswith(f'{cut.name} has bytes') for problem in report.problems)


def test_a_damaged_header(converted):
    shard = shard_of(converted, 1)
    flip(shard, 1, place=0)
    report = verify.verify(converted, SPLIT)
    assert [(bad.number, bad.name, bad.reason) for bad in report.bad] == [
        (1, 'train_4', 'the CRC of its length is wrong')] and len(report.names) == 8


def test_a_manifest_of_something_else(converted):
    path = converted / manifest.file_name(SPLIT)
    written = json.loads(path.read_text())
    written['num_examples'], written['class_pixels'][0] = 8, 1
    path.write_text(json.dumps(written))
    problems = verify.verify(converted, SPLIT).problems
    assert problems[0] == 'num_examples is 9, the manifest says 8'
    assert len(problems) == 2 and problems[1].startswith('class_pixels is [')


def test_a_name_twice_and_a_shard_too_many(converted):
    rewrite(shard_of(converted, 1), 0, filename='train_0')
    (converted / f'{SPLIT}.record').write_bytes(shard_of(converted, 2).read_bytes())
    problems = verify.verify(converted, SPLIT).problems
    assert "2 records are named 'train_0'" in problems and 'train.record is not in the manifest' in problems


def damage(converted):
    flip(shard_of(converted, 0), 1)
    for number in range(3):
        flip(shard_of(converted, 2), number)
    return [name for name in (f'train_{number}' for number in range(9)) if name not in
            ('train_1', 'train_6', 'train_7', 'train_8')]


def test_repair_keeps_the_old_files(converted, capsys):
    left, before = damage(converted), {path.name: path.read_bytes() for path in converted.iterdir()}
    assert verify.main(['--record_dir', str(converted), '--repair']) == 1
    assert f'wrote 5 records to {converted}, 4 left out' in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in (converted / repair.KEPT).iterdir()} == before
    # The third shard is gone, and nothing temporary is left.
    names = {tfrecord.shard_name(SPLIT, number, 2) for number in range(2)}
    assert {path.name for path in converted.iterdir()} == names | {manifest.file_name(SPLIT), repair.KEPT}
    report = verify.verify(converted, SPLIT)
    assert report.sound and report.names == left
    assert index_records(converted, SPLIT, VOC).num_examples == 5
    damaged = shard_of(converted, 0).with_name(tfrecord.shard_name(SPLIT, 0, 2))
    flip(damaged, 0)
    assert guarded(lambda: verify.main(['--record_dir', str(converted), '--repair'])) == 2
    assert 'exists, from a repair before' in capsys.readouterr().err


def test_repair_into_another_folder(converted, tmp_path, capsys):
    left, before = damage(converted), {path.name: path.read_bytes() for path in converted.iterdir()}
    arguments = ['--record_dir', str(converted), '--repair', '--output_dir', str(tmp_path / 'new')]
    assert verify.main(arguments) == 1
    assert {path.name: path.read_bytes() for path in converted.iterdir()} == before
    assert verify.verify(tmp_path / 'new', SPLIT).names == left
    assert guarded(lambda: verify.main(arguments)) == 2
    assert 'exists: give another --output_dir' in capsys.readouterr().err


def test_a_full_disk_leaves_the_damaged_records(converted, monkeypatch, capsys):
    damage(converted)
    before = {path.name: path.read_bytes() for path in converted.iterdir()}

    def full(path, num_records):
        raise OSError(28, 'No space left on device', str(path))
    monkeypatch.setattr(manifest, 'write', full)
    assert guarded(lambda: verify.main(['--record_dir', str(converted), '--repair'])) == 2
    assert 'No space left on device' in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in converted.iterdir()} == before


def test_nothing_to_verify(tmp_path, capsys):
    assert guarded(lambda: verify.main(['--record_dir', str(tmp_path)])) == 2
    assert f'error: {tmp_path} has no records' in capsys.readouterr().err


def names(index, **options):
    batches = drawn.batches(lambda: train_dataset(index, Augmentation((9, 9)), batch_size=3, seed=1, start_step=0,
                                                  max_steps=6, ignore_label=255, **options))
    return [name.decode() for features, _ in batches for name in features['filename']]


def test_training_stops_with_the_list(converted):
    damage(converted)
    index = index_records(converted, SPLIT, VOC)
    with pytest.raises(tf.errors.DataLossError):
        names(index)
    with pytest.raises(ValueError, match=r'4 corrupt record\(s\)\n  .*00000-of-00003.tfrecord: record 1 at byte'):
        refuse_corrupt(index)


def test_ids_of_records_without_a_manifest_are_those_of_the_dataset(converted, capsys):
    (converted / manifest.file_name(SPLIT)).unlink()
    ids = np.full(drawn.SIZES[4], 21, np.uint8)
    rewrite(shard_of(converted, 1), 1, label=drawn.png(ids))
    of_voc = ['--record_dir', str(converted), '--dataset', 'voc2012']
    bad = (f'{shard_of(converted, 1)}: record 1 at byte {tfrecord.scan_offsets(shard_of(converted, 1))[1]} (train_4): '
           f'its label holds ids 21 ({ids.size} pixels); classes are 0..20, ignored is 255')
    assert verify.main(of_voc[:2]) == 0 and 'sizes; there is no manifest' in capsys.readouterr().out
    assert verify.main(of_voc) == 1
    assert f'sizes, ids; there is no manifest to compare with)\n  train: 1 bad record(s)\n  {bad}\n' in (
        capsys.readouterr().out)
    with pytest.raises(ValueError) as refused:
        refuse_corrupt(index_records(converted, SPLIT, VOC))
    assert bad in str(refused.value) and '\ngive the dataset that the split was made for, or' in str(refused.value)
    assert '`python -m datasets.verify --dataset NAME --repair`' in str(refused.value)
    assert [each.name for each in index_records(converted, SPLIT, VOC, on_corrupt='skip').corrupt] == ['train_4']
    assert verify.main([*of_voc, '--repair']) == 1 and verify.main(of_voc) == 0
    assert index_records(converted, SPLIT, VOC).num_examples == 8


def test_training_skips_and_keeps_the_order_of_the_rest(converted):
    whole = names(index_records(converted, SPLIT, VOC))
    assert index_records(converted, SPLIT, VOC, on_corrupt='skip').corrupt == ()
    damage(converted)
    index = index_records(converted, SPLIT, VOC, on_corrupt='skip')
    assert [bad.name for bad in index.corrupt] == ['train_1', 'train_6', 'train_7', 'train_8']
    assert index.rows.tolist() == [0, 2, 2, 3, 4, 5, 0, 0, 0]
    # The next good record, round the end of the split.
    stands_for = {'train_1': 'train_2', 'train_6': 'train_0', 'train_7': 'train_0', 'train_8': 'train_0'}
    assert names(index) == [stands_for.get(name, name) for name in whole]
    refuse_corrupt(index)


def test_nothing_left_to_train_on(converted):
    for shard in range(3):
        for number in range(3):
            flip(shard_of(converted, shard), number)
    with pytest.raises(ValueError, match='no record can be used, such as .*: record 0 at byte 0'):
        index_records(converted, SPLIT, VOC, on_corrupt='skip')

import hashlib
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from console.exits import guarded
from datasets import convert as converter
from datasets import row as rows
from datasets.convert import convert
from datasets.input.index import index_records
from datasets.input_fn import eval_dataset
from datasets.records import examples, tfrecord
from tests.datasets import drawn
from tests.paths import ROOT, shared

VOC = rows.load('voc2012')


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_records_hold_the_images_bytes_and_the_ids(tmp_path):
    ids = drawn.voc(tmp_path / 'raw', {'train': 5, 'val': 2})
    manifests = convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=2, workers=1)
    assert sorted(contents(tmp_path / 'out')) == [
        'train-00000-of-00002.tfrecord', 'train-00001-of-00002.tfrecord', 'train.manifest.json',
        'val-00000-of-00002.tfrecord', 'val-00001-of-00002.tfrecord', 'val.manifest.json']
    assert json.loads((tmp_path / 'out' / 'train.manifest.json').read_text()) == manifests['train']
    found = drawn.batches(lambda: eval_dataset(index_records(tmp_path / 'out', 'train', VOC), ignore_label=255))
    assert [features['filename'][0].decode() for features, _ in found] == [f'train_{number}' for number in range(5)]
    for features, label in found:
        name = features['filename'][0].decode()
        np.testing.assert_array_equal(label[0], ids[name])
        picture = (tmp_path / f'raw/JPEGImages/{name}.jpg').read_bytes()
        np.testing.assert_array_equal(features['image'][0], drawn.decoded(picture))


def test_the_manifest_counts(tmp_path):
    ids = drawn.voc(tmp_path / 'raw', {'train': 5})
    manifest = convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=3, workers=1)['train']
    pixels = np.concatenate([label.ravel() for label in ids.values()])
    assert manifest['class_pixels'] == [int((pixels == label).sum()) for label in range(21)]
    shown = [[label.size for label in ids.values() if (label == number).any()] for number in range(21)]
    assert manifest['class_image_pixels'] == list(map(sum, shown)) and manifest['class_image_pixels'][15] > 0
    assert manifest['ignored_pixels'] == int((pixels == 255).sum()) > 0
    assert (manifest['num_examples'], manifest['published_num_examples']) == (5, 1464)
    assert manifest['height'] == [min(h for h, _ in drawn.SIZES), max(h for h, _ in drawn.SIZES)]
    assert manifest['width'] == [min(w for _, w in drawn.SIZES), max(w for _, w in drawn.SIZES)]
    assert manifest['list_sha256'] == hashlib.sha256('\n'.join(ids).encode()).hexdigest()
    assert [shard['records'] for shard in manifest['shards']] == [1, 2, 2]
    for shard in manifest['shards']:
        data = (tmp_path / 'out' / shard['name']).read_bytes()
        assert (shard['bytes'], shard['sha256']) == (len(data), hashlib.sha256(data).hexdigest())


def test_an_ignored_class_is_counted_once(tmp_path):
    drawn.voc(tmp_path / 'raw', {'train': 2})
    row = drawn.with_classes(VOC, ignore_label=0, ids={255: 0})
    manifest = convert(row, tmp_path / 'raw', tmp_path / 'out', workers=1)['train']
    assert manifest['class_pixels'][0] == manifest['class_image_pixels'][0] == 0
    pixels = sum(height * width for height, width in drawn.SIZES[:2])
    assert sum(manifest['class_pixels']) + manifest['ignored_pixels'] == pixels


def test_bytes_do_not_depend_on_the_workers(tmp_path):
    drawn.voc(tmp_path / 'raw', {'train': 13})
    for workers in (1, 2, 3):
        convert(VOC, tmp_path / 'raw', tmp_path / str(workers), workers=workers)
    assert len(contents(tmp_path / '1')) == 5
    assert contents(tmp_path / '1') == contents(tmp_path / '2') == contents(tmp_path / '3')


def spoil(raw):
    """Makes one example wrong in each way; returns what the error must say of which file."""
    images, labels = raw / 'JPEGImages', raw / 'SegmentationClass'
    (images / 'train_0.jpg').write_bytes(b'')
    (images / 'train_1.jpg').write_bytes((images / 'train_1.jpg').read_bytes()[:-40])
    (images / 'train_2.jpg').write_text('<html>404</html>')
    (labels / 'train_3.png').write_bytes(drawn.png(np.full((8, 21), 21, np.uint8)))
    (labels / 'train_4.png').write_bytes(drawn.png(np.zeros((10, 15), np.uint8)))
    (labels / 'train_5.png').write_bytes(drawn.png(np.zeros((9, 13, 3), np.uint8)))
    (labels / 'val_0.png').write_bytes((labels / 'val_0.png').read_bytes()[:-40])
    return {images / 'train_0.jpg': 'the file is empty', images / 'train_1.jpg': 'the file is truncated or damaged',
            images / 'train_2.jpg': 'not an image of JPEG, PNG, BMP, GIF, TIFF, WEBP, PPM',
            labels / 'train_3.png': 'holds ids 21 (168 pixels); classes are 0..20, ignored is 255',
            labels / 'train_4.png': f'is 15x10 but its image {images / "train_4.jpg"} is 10x15',
            labels / 'train_5.png': 'mode RGB holds colours', labels / 'val_0.png': 'the file is truncated'}


@pytest.mark.parametrize('workers', [1, 2])
def test_every_bad_file_is_named_at_once_and_nothing_written(tmp_path, workers):
    drawn.voc(tmp_path / 'raw', {'train': 7, 'val': 2})
    expected = spoil(tmp_path / 'raw')
    with pytest.raises(ValueError, match=r'nothing was written: 7 problem\(s\)') as error:
        convert(VOC, tmp_path / 'raw', tmp_path / 'out', workers=workers)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(expected) == 7
    for line, (path, reason) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f'  {path}: {reason}')
    assert not (tmp_path / 'out').exists()


def test_missing_files_and_faults_of_lists_come_with_the_rest(tmp_path):
    raw = tmp_path / 'raw'
    drawn.voc(raw, {'train': 3, 'val': 2})
    (raw / 'JPEGImages/train_1.jpg').unlink()
    (raw / 'SegmentationClass/train_1.png').unlink()
    (raw / 'SegmentationClass/val_0.png').write_bytes(b'')
    path = raw / 'ImageSets/Segmentation/val.txt'
    path.write_text(path.read_text() + 'val_1\n../../../etc/passwd\n')
    with pytest.raises(ValueError, match=r'5 problem\(s\)') as error:
        convert(VOC, raw, tmp_path / 'out', workers=1)
    assert str(error.value).splitlines()[1:] == [
        f"  {path}:4: '../../../etc/passwd' leads out of {raw}", f"  {path}: lists 'val_1' more than once",
        f'  {raw}/JPEGImages/train_1.jpg: missing', f'  {raw}/SegmentationClass/train_1.png: missing',
        f'  {raw}/SegmentationClass/val_0.png: the file is empty']
    assert not (tmp_path / 'out').exists()


def test_what_exists_is_kept_unless_told_otherwise(tmp_path):
    drawn.voc(tmp_path / 'raw', {'train': 5})
    convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=4, workers=1)
    before = contents(tmp_path / 'out')
    with pytest.raises(ValueError, match='train-00000-of-00004.tfrecord exists: .*--overwrite'):
        convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=2, workers=1)
    assert contents(tmp_path / 'out') == before
    convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=2, workers=1, overwrite=True)
    assert sorted(contents(tmp_path / 'out')) == ['train-00000-of-00002.tfrecord', 'train-00001-of-00002.tfrecord',
                                                  'train.manifest.json']
    assert index_records(tmp_path / 'out', 'train').num_examples == 5


def test_a_failure_while_writing_leaves_what_was_there(tmp_path, monkeypatch):
    drawn.voc(tmp_path / 'raw', {'train': 5})
    convert(VOC, tmp_path / 'raw', tmp_path / 'out', workers=1)
    before = contents(tmp_path / 'out')

    written = []

    def write_two(writer, data):
        written.append(data)
        if len(written) > 2:
            raise tf.errors.ResourceExhaustedError(None, None, 'No space left on device')

    monkeypatch.setattr(tf.io.TFRecordWriter, 'write', write_two)
    with pytest.raises(ValueError, match='cannot be written: No space left'):
        convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=2, workers=1, overwrite=True)
    assert contents(tmp_path / 'out') == before


def interrupt(monkeypatch, after):
    """Makes the conversion of the example after so many others end as Ctrl-C does; returns the ids that were begun."""
    begun, make = [], examples.make

    def stopping(dataset, pair):
        if len(begun) == after:
            raise KeyboardInterrupt
        begun.append(pair.id)
        return make(dataset, pair)

    monkeypatch.setattr(examples, 'make', stopping)
    return begun


def test_an_interrupted_conversion_goes_on(tmp_path, monkeypatch, capsys):
    drawn.voc(tmp_path / 'raw', {'train': 10})
    convert(VOC, tmp_path / 'raw', tmp_path / 'whole', workers=1)
    with monkeypatch.context() as patch:
        interrupt(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            convert(VOC, tmp_path / 'raw', tmp_path / 'out', workers=1)
    assert not tfrecord.find_shards(tmp_path / 'out', 'train')
    path = tmp_path / 'raw/JPEGImages/train_0.jpg'
    os.utime(path, ns=(1, 1))  # The first shard's inputs are no longer those it was made of.
    with monkeypatch.context() as patch:
        begun = interrupt(patch, 99)
        convert(VOC, tmp_path / 'raw', tmp_path / 'out', workers=1)
    assert begun == [f'train_{number}' for number in (0, 1, 5, 6, 7, 8, 9)]
    assert 'kept 1 shard(s) of the interrupted conversion' in capsys.readouterr().err
    assert contents(tmp_path / 'out') == contents(tmp_path / 'whole')


def test_a_kept_shard_that_was_damaged_is_written_again(tmp_path, monkeypatch):
    drawn.voc(tmp_path / 'raw', {'train': 4})
    with monkeypatch.context() as patch:
        interrupt(patch, 3)
        with pytest.raises(KeyboardInterrupt):
            convert(VOC, tmp_path / 'raw', tmp_path / 'out', workers=1)
    shard = tmp_path / 'out' / converter.WORK / 'train' / tfrecord.shard_name('train', 0, 4)
    shard.write_bytes(shard.read_bytes()[:-1])
    begun = interrupt(monkeypatch, 99)
    convert(VOC, tmp_path / 'raw', tmp_path / 'out', workers=1)
    assert begun == ['train_0', 'train_3']
    assert index_records(tmp_path / 'out', 'train').num_examples == 4 and len(contents(tmp_path / 'out')) == 5


def test_two_conversions_do_not_share_a_folder(tmp_path):
    drawn.voc(tmp_path / 'raw', {'train': 2})
    with (converter._working(tmp_path / 'out'),
          pytest.raises(BlockingIOError, match='another conversion is writing to .*: wait for it, or give another')):
        convert(VOC, tmp_path / 'raw', tmp_path / 'out', workers=1)
    assert not (tmp_path / 'out').exists()


def test_more_shards_than_examples(tmp_path):
    drawn.voc(tmp_path / 'raw', {'val': 2})
    convert(VOC, tmp_path / 'raw', tmp_path / 'out', num_shards=9, workers=1)
    assert [path.name for path in tfrecord.find_shards(tmp_path / 'out', 'val')] == [
        'val-00000-of-00002.tfrecord', 'val-00001-of-00002.tfrecord']


def test_the_command_line(tmp_path, capsys):
    drawn.voc(tmp_path / 'raw', {'train': 3, 'val': 2})
    arguments = ['--dataset', 'voc2012', '--raw_dir', str(tmp_path / 'raw'), '--output_dir', str(tmp_path / 'out'),
                 '--splits', 'val', '--num_shards', '1', '--workers', '1']
    assert converter.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith('voc2012 val: 2 examples, 1 shards')
    assert 'warning: voc2012 val has 2 images, not the published 1449' in captured.err
    assert not set(captured.err) & {'\r', '\x1b'}
    assert guarded(lambda: converter.main(arguments)) == 2
    assert 'error: ' in capsys.readouterr().err
    with pytest.raises(SystemExit):
        converter.main([*arguments, '--workers', '0'])


def test_no_warning_when_the_number_is_the_published_one(tmp_path, capsys):
    drawn.voc(tmp_path / 'raw', {'val': 2})
    text = (rows.ROWS / 'voc2012.toml').read_text().replace('num_images = 1449', 'num_images = 2')
    (tmp_path / 'mine.toml').write_text(text)
    # By the flag's former name, which still works.
    assert converter.main(['--dataset', str(tmp_path / 'mine.toml'), '--data_dir', str(tmp_path / 'raw'),
                           '--output_dir', str(tmp_path / 'out'), '--workers', '1']) == 0
    assert 'warning' not in capsys.readouterr().err


def test_the_module_runs_with_processes(tmp_path):
    drawn.voc(tmp_path / 'raw', {'val': 3})
    command = [sys.executable, '-m', 'datasets.convert', '--dataset', 'voc2012', '--raw_dir', 'raw',
               '--output_dir', 'out', '--workers', '2']
    environment = {'PYTHONPATH': str(ROOT), 'PATH': ''}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, 'voc2012 val: 3 examples, 3 shards, 0.0 MB in out\n')
    assert 'tensorflow' not in done.stderr.lower()


REAL = {'camvid': ('CamVid', {'train': 367, 'val': 101}), 'voc2012': ('.', {'val': 224, 'train_aug': 440})}


@pytest.mark.slow
@pytest.mark.parametrize('name', REAL)
def test_the_real_datasets(tmp_path, name):
    folder, counts = REAL[name]
    dataset = rows.load(name)
    manifests = convert(dataset, shared('data', folder), tmp_path)
    assert {split: manifest['num_examples'] for split, manifest in manifests.items()} == counts
    for split, manifest in manifests.items():
        index = index_records(tmp_path, split, dataset)
        assert index.num_examples == counts[split]
        counted = np.zeros(256, np.int64)
        for _, label in drawn.batches(lambda index=index: eval_dataset(index, ignore_label=255)):
            counted += np.bincount(label.ravel(), minlength=256)
        assert counted[:dataset.num_classes].tolist() == manifest['class_pixels'] and min(manifest['class_pixels']) > 0
        assert counted[255] == manifest['ignored_pixels'] > 0
        assert counted.sum() == sum(manifest['class_pixels']) + manifest['ignored_pixels']



"""export_model.py: what is written, that parity is measured and enforced, and what is refused."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image

import export_model
from console.exits import guarded
from datasets import row as rows
from deeplab import run
from deeplab.compat import tf
from deeplab.trained import checkpointed, export
from tests import models

PROTOCOL = ['--evaluation.scales', '0.75,1', '--evaluation.flip', 'true']
IMAGES = np.random.RandomState(0).randint(0, 256, (2, 33, 47, 3)).astype(np.uint8)


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory):
    return models.write_model_dir(models.tiny(), tmp_path_factory.mktemp('model'))


@pytest.fixture(scope='module')
def exported(model_dir, tmp_path_factory):
    """The SavedModel of a protocol with scales and flip, and what export_model.py printed."""
    folder = tmp_path_factory.mktemp('exported')
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main('--model_dir', model_dir, '--export_dir', folder, *PROTOCOL) == 0
    (version,) = folder.iterdir()
    return version, said.getvalue()


def main(*arguments):
    """The exit status, as the command has it."""
    return guarded(lambda: export_model.main([str(argument) for argument in arguments]))


def load(model_dir, **changes):
    return checkpointed.load_one(run.resolve(models.tiny(**changes)), model_dir, 'latest')


def test_the_layout_is_that_of_tf_serving(exported):
    version, _ = exported
    assert version.name.isdigit()
    assert {path.name for path in version.iterdir()} >= {'saved_model.pb', 'variables', 'assets.extra'}
    held = tf.train.load_checkpoint(str(version / 'variables/variables')).get_variable_to_shape_map()
    assert set(held) == set(models.shapes(models.tiny())), 'variables of the model and nothing else'


def test_two_exports_in_one_second_have_two_names(tmp_path, monkeypatch):
    monkeypatch.setattr(export.time, 'time', lambda: 1000.5)
    for _ in range(2):
        with export._published_when_complete(tmp_path) as (work, _):
            work.mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ['1000', '1001']


def test_parity_is_printed_for_both_signatures_and_sizes(exported):
    lines = [line for line in exported[1].splitlines() if line.startswith('parity')]
    assert [line.split()[1:3] for line in lines] == [
        [f'{signature}', f'{size}:'] for signature in ('serving_default', 'image_bytes')
        for size in ('1x97x131', '2x64x80')]
    assert all(': 0 pixels of another class' in line and line.endswith('ok') for line in lines)


def test_labels_json_tells_what_a_client_needs(exported):
    labels = json.loads((exported[0] / 'assets.extra/labels.json').read_text())
    dataset = rows.load('synthetic')
    assert labels['class_names'] == list(dataset.class_names)
    assert labels['palette'] == [list(colour) for colour in dataset.palette]
    assert labels['ignore_label'] == 255
    assert labels['recipe']['model']['net'] == 'deeplabv3plus'
    assert labels['recipe']['evaluation']['scales'] == [0.75, 1.0]
    assert labels['checkpoint']['global_step'] == 7 and len(labels['checkpoint']['sha256']) == 64
    assert set(labels['inputs']) == {'serving_default', 'image_bytes'}
    assert labels['max_pixels'] == export.MAX_PIXELS


def test_parity_finds_a_saved_model_that_differs(exported, model_dir):
    """It has a protocol with scales and flip, which shows as well that the protocol was exported."""
    found = list(export.parity(load(model_dir), exported[0]))
    assert len(found) == 4
    for one in found:
        assert not one.passed and one.different_pixels > 0 and one.largest_difference > 1e-3


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.fixture(scope='module')
def decoder():
    """decode(): list of bytes -> uint8 [N,H,W,3]."""
    with tf.Graph().as_default(), tf.Session() as session:
        given = tf.placeholder(tf.string, [None])
        images = export.decode(given)
        yield lambda *strings: session.run(images, {given: list(strings)})


def test_bytes_are_decoded_as_pillow_does(decoder):
    pictures = [Image.fromarray(pixels) for pixels in IMAGES]
    for kind, options in (('PNG', {}), ('JPEG', {'quality': 70})):
        strings = [encoded(picture, kind, **options) for picture in pictures]
        expected = [np.asarray(Image.open(io.BytesIO(string))) for string in strings]
        np.testing.assert_array_equal(decoder(*strings), expected)


def test_alpha_is_dropped_and_grey_expanded(decoder):
    rgba = Image.fromarray(np.dstack([IMAGES[0], IMAGES[1, ..., 0]]))
    np.testing.assert_array_equal(decoder(encoded(rgba, 'PNG'))[0], IMAGES[0])
    grey = Image.fromarray(IMAGES[0, ..., 0])
    np.testing.assert_array_equal(decoder(encoded(grey, 'PNG'))[0], np.dstack([IMAGES[0, ..., 0]] * 3))


@pytest.mark.parametrize(('string', 'message'), [
    (b'', 'neither a JPEG nor a PNG'),
    (b'GIF89a' + bytes(50), 'neither a JPEG nor a PNG'),
    (encoded(Image.new('1', (12000, 9000)), 'PNG'), 'more than 100000000 pixels'),
    (encoded(Image.new('L', (12000, 9000)), 'JPEG'), 'more than 100000000 pixels'),
    (encoded(Image.fromarray(IMAGES[0]), 'PNG')[:40], 'PNG|png'),
], ids=['empty', 'gif', 'png_bomb', 'jpeg_bomb', 'cut'])
def test_bytes_that_are_no_picture_or_too_large_are_refused(decoder, string, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decoder(string)


@pytest.fixture
def written(monkeypatch):
    """Writing a SavedModel takes seconds; here it only makes the folder."""
    monkeypatch.setattr(export, '_write', lambda model, folder: folder.mkdir())


def test_a_saved_model_that_differs_is_not_published(model_dir, written, tmp_path, monkeypatch, capsys):
    (tmp_path / 'old').mkdir()
    monkeypatch.setattr(export, 'parity', lambda model, folder: [
        export.Parity('serving_default', (1, 9, 9), different, 0.0) for different in (0, 3)])
    assert main('--model_dir', model_dir, '--export_dir', tmp_path) == 1
    captured = capsys.readouterr()
    assert '3 pixels of another class' in captured.out and captured.out.count('FAILED') == 1
    assert 'differs from predict' in captured.err
    assert [path.name for path in tmp_path.iterdir()] == ['old']


def test_an_error_leaves_nothing_half_written(model_dir, written, tmp_path, monkeypatch):
    def fail(model, folder):
        raise OSError('disk full')

    monkeypatch.setattr(export, 'parity', fail)
    with pytest.raises(OSError, match='disk full'):
        export.export(load(model_dir), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('different', 'largest', 'passed'), [(0, 1e-5, True), (0, 2e-5, False), (1, 0.0, False)])
def test_parity_needs_equal_classes_and_probabilities(different, largest, passed):
    one = export.Parity('serving_default', (1, 9, 9, 3), different, largest)
    assert one.passed is passed
    assert str(one).endswith('ok' if passed else 'FAILED')


def test_another_class_count_is_refused(model_dir, tmp_path, capsys):
    status = main('--model_dir', model_dir, '--export_dir', tmp_path / 'out', '--dataset', 'camvid')
    assert status == 2
    assert 'was trained for 6 classes, but camvid has 11' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


@pytest.mark.slow
def test_tiles_and_crf_are_exported(model_dir, tmp_path, capsys):
    """Of the images that parity is measured on, one is above the limit."""
    assert main('--model_dir', model_dir, '--export_dir', tmp_path, '--evaluation.tile_size', '49,49',
                '--evaluation.tile_limit', 6000, '--evaluation.crf', 'deeplabv2_resnet101') == 0
    said = capsys.readouterr().out
    assert said.count(': ok') == 4, said

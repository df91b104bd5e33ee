"""inference.py: which files, which names, which pictures, and one bad file among good ones."""

import io

import numpy as np
import pytest
import tensorflow
from PIL import Image

import inference
from console.exits import guarded
from deeplab.summaries import palette_table
from deeplab.trained import infer
from tests import models

SIZES = {'odd': (37, 51), 'even': (64, 48), 'tiny': (1, 3)}  # height, width


@pytest.fixture(scope='module')
def model_dir(tmp_path_factory):
    return models.write_model_dir(models.tiny(), tmp_path_factory.mktemp('model'))


def predict(*arguments):
    """The exit status, as the command has it."""
    return guarded(lambda: inference.main([str(argument) for argument in arguments]))


def noise(height=37, width=51, seed=0):
    """A smooth picture, so that a net sees more than grey."""
    random = np.random.RandomState(seed)
    small = Image.fromarray(random.randint(0, 256, (5, 5, 3)).astype(np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x')
    return folder


def test_folders_are_searched_and_sub_folders_kept(tmp_path):
    touch(tmp_path, 'b.jpg', 'a.PNG', 'sub/deep/c.jpeg', 'notes.md', 'out/old_ids.png')
    found = infer.find_sources([str(tmp_path)], tmp_path / 'out')
    assert [source.name for source in found] == ['a', 'b', 'sub/deep/c']


def test_globs_lists_and_files_are_named_below_what_they_share(tmp_path, monkeypatch):
    touch(tmp_path, 'x/a.jpg', 'x/y/b.jpg', 'z.jpg')
    names = [source.name for source in infer.find_sources([str(tmp_path / '**/*.jpg')], tmp_path / 'out')]
    assert names == ['x/a', 'x/y/b', 'z']
    (tmp_path / 'list.txt').write_text('\ufeffx/a.jpg\r\n\r\nx/y/b.jpg\r\nx/a.jpg\r\n')
    assert [s.name for s in infer.find_sources([str(tmp_path / 'list.txt')], tmp_path / 'out')] == ['a', 'y/b']
    monkeypatch.chdir(tmp_path / 'x')
    assert [s.name for s in infer.find_sources(['a.jpg', '../z.jpg'], tmp_path / 'out')] == ['x/a', 'z']


def test_images_that_differ_in_the_suffix_keep_it(tmp_path):
    touch(tmp_path, 'a.jpg', 'a.png', 'b.png')
    found = infer.find_sources([str(tmp_path)], tmp_path / 'out')
    assert [source.name for source in found] == ['a.jpg', 'a.png', 'b']
    written = [path for source in found for path in infer.outputs(source, tmp_path, infer.FORMATS).values()]
    assert len(set(written)) == 9


@pytest.mark.parametrize(('given', 'message'), [
    ('nowhere/*.jpg', 'nowhere/[*].jpg: no image there'), ('empty', 'empty: no image there')])
def test_an_input_that_names_nothing_is_refused(tmp_path, given, message):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(ValueError, match=message):
        infer.find_sources([str(tmp_path / given)], tmp_path / 'out')


def test_equal_outputs_and_overwritten_inputs_are_refused(tmp_path):
    touch(tmp_path, 'a.jpg', 'a.png', 'a.jpg.bmp', 'a_ids.png')
    with pytest.raises(ValueError, match='a.jpg_.*would write the same outputs|would write the same outputs, a.jpg_'):
        infer.find_sources([str(tmp_path)], tmp_path / 'out')
    (tmp_path / 'a.jpg').unlink()
    (tmp_path / 'a.jpg.bmp').unlink()
    sources = infer.find_sources([str(tmp_path)], tmp_path / 'out')
    with pytest.raises(ValueError, match='a_ids.png would overwrite an input'):
        infer.refuse_overwriting(sources, tmp_path, ['ids'], overwrite=True)


def test_outputs_that_exist_are_replaced_only_when_asked(tmp_path):
    touch(tmp_path, 'in/a.jpg', 'out/a_ids.png')
    sources = infer.find_sources([str(tmp_path / 'in')], tmp_path / 'out')
    with pytest.raises(ValueError, match='1 outputs exist already'):
        infer.refuse_overwriting(sources, tmp_path / 'out', ['ids', 'colour'], overwrite=False)
    infer.refuse_overwriting(sources, tmp_path / 'out', ['ids', 'colour'], overwrite=True)
    infer.refuse_overwriting(sources, tmp_path / 'out', ['colour'], overwrite=False)


MODES = {  # file name -> (how it is saved, RGB that must be read)
    'rgb.png': (lambda rgb: Image.fromarray(rgb), lambda rgb: rgb),
    'rgba.png': (lambda rgb: Image.fromarray(np.dstack([rgb, rgb[..., 0]])), lambda rgb: rgb),
    'grey.png': (lambda rgb: Image.fromarray(rgb[..., 0]), lambda rgb: np.dstack([rgb[..., 0]] * 3)),
    'grey_alpha.png': (lambda rgb: Image.fromarray(rgb[..., :2], 'LA'), lambda rgb: np.dstack([rgb[..., 0]] * 3)),
    'high_byte.png': (lambda rgb: Image.fromarray(rgb[..., 0].astype(np.uint16) * 256 + 99),
                      lambda rgb: np.dstack([rgb[..., 0]] * 3)),
    'bits.png': (lambda rgb: Image.fromarray(rgb[..., 0] > 127), lambda rgb: np.dstack([rgb[..., 0] > 127] * 3) * 255),
    'colours.gif': (lambda rgb: Image.fromarray(rgb // 86 * 86).convert('P', palette=Image.Palette.ADAPTIVE),
                    lambda rgb: rgb // 86 * 86),
    'rgb.bmp': (lambda rgb: Image.fromarray(rgb), lambda rgb: rgb),
    'rgb.tif': (lambda rgb: Image.fromarray(rgb), lambda rgb: rgb),
}


@pytest.mark.parametrize('name', MODES)
def test_every_mode_becomes_8_bit_rgb_by_the_stated_rule(tmp_path, name):
    rgb = noise()
    save, expected = MODES[name]
    save(rgb).save(tmp_path / name)
    read = infer.read_image(tmp_path / name)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, expected(rgb))


def test_cmyk_is_converted_as_pillow_does(tmp_path):
    Image.fromarray(noise()).convert('CMYK').save(tmp_path / 'a.jpg')
    np.testing.assert_array_equal(infer.read_image(tmp_path / 'a.jpg'),
                                  np.asarray(Image.open(tmp_path / 'a.jpg').convert('RGB')))


def test_rotation_by_exif_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise(20, 30)).save(tmp_path / 'a.jpg', exif=exif)
    assert infer.read_image(tmp_path / 'a.jpg').shape == (20, 30, 3)


@pytest.mark.parametrize('options', [
    {'quality': 50}, {'quality': 95, 'subsampling': 0}, {'quality': 75, 'subsampling': 1}, {'progressive': True}])
def test_jpegs_are_decoded_as_records_are(tmp_path, options):
    """evaluate.py decodes by TensorFlow, inference.py by Pillow: their predictions must not differ."""
    Image.fromarray(noise(61, 83)).save(tmp_path / 'a.jpg', **options)
    by_tensorflow = tensorflow.io.decode_jpeg((tmp_path / 'a.jpg').read_bytes(), 3, dct_method='INTEGER_ACCURATE')
    np.testing.assert_array_equal(infer.read_image(tmp_path / 'a.jpg'), by_tensorflow)


def jpeg():
    stream = io.BytesIO()
    Image.fromarray(noise(200, 300)).save(stream, 'JPEG', quality=95)
    return stream.getvalue()


BAD = {
    'empty.jpg': b'',
    'text.png': b'no picture at all',
    'cut.jpg': jpeg()[:len(jpeg()) // 2],
    'program.jpg': b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n',
}


@pytest.mark.filterwarnings('ignore::PIL.Image.DecompressionBombWarning')
def test_bad_files_are_reported_and_the_rest_predicted(model_dir, tmp_path, capsys):
    """One run over good and bad files, of several sizes, with all formats."""
    source, out = tmp_path / 'in', tmp_path / 'out'
    (source / 'sub').mkdir(parents=True)
    for name, data in BAD.items():
        (source / name).write_bytes(data)
    Image.new('1', (12000, 9000)).save(source / 'bomb.png')  # 108 million pixels in some kilobytes
    for name, size in SIZES.items():
        Image.fromarray(noise(*size)).save(source / 'sub' / f'{name}.png')
    assert predict('--model_dir', model_dir, '--input', source, '--output_dir', out) == 1
    captured = capsys.readouterr()
    assert f'{len(SIZES)} of {len(SIZES) + len(BAD) + 1} images predicted' in captured.out
    _, _, closing = captured.err.partition(f'{len(BAD) + 1} failed:')
    for name in [*BAD, 'bomb.png']:
        assert f'error: {source / name}: ' in captured.err and f'{source / name}: ' in closing
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob('*.png')) == sorted(
        f'sub/{name}_{kind}.png' for name in SIZES for kind in infer.FORMATS)
    for name, (height, width) in SIZES.items():
        check_pictures(out / 'sub', name, noise(height, width))


def check_pictures(folder, name, pixels):
    """Mode, size and content of the three PNGs agree."""
    table = palette_table([(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)])
    ids, colour, overlay = (Image.open(folder / f'{name}_{kind}.png') for kind in ('ids', 'colour', 'overlay'))
    assert (ids.mode, colour.mode, overlay.mode) == ('L', 'P', 'RGB')
    assert ids.size == colour.size == overlay.size == pixels.shape[1::-1]
    np.testing.assert_array_equal(np.asarray(colour), np.asarray(ids))
    np.testing.assert_array_equal(np.asarray(colour.convert('RGB')), table[np.asarray(ids)])
    blend = (pixels.astype(float) + table[np.asarray(ids)]) / 2
    assert np.abs(np.asarray(overlay) - blend).max() <= 0.5


@pytest.mark.parametrize(('arguments', 'message'), [
    (['--format', 'ids,colors'], "'colors' is unknown; did you mean colour? choices: ids, colour, overlay"),
    (['--checkpoint', 'all'], '--checkpoint all is for evaluate.py'),
    (['--dataset', 'camvid'], 'was trained for 6 classes, but camvid has 11'),
])
def test_wrong_flags_end_with_status_2_and_write_nothing(model_dir, tmp_path, capsys, arguments, message):
    Image.fromarray(noise()).save(tmp_path / 'a.png')
    out = tmp_path / 'out'
    assert predict('--model_dir', model_dir, '--input', tmp_path / 'a.png', '--output_dir', out, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()

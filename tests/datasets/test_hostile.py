"""What careless and hostile users put into a dataset, and the message that each gets, or what becomes of it."""

import io
import os
import resource
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from console.exits import guarded
from datasets import convert
from datasets import row as rows
from datasets.raw import images
from datasets.records import tfrecord
from datasets.records.examples import Checked
from tests.datasets import drawn

VOC = rows.load('voc2012')
# The row of a user's own folder, whose labels may have been drawn on images as viewers show them.
OWN = drawn.with_classes(VOC, exif='agree')
SIZE = drawn.SIZES[1]
PICTURE = np.random.RandomState(0).randint(0, 256, (*SIZE, 3), np.uint8)
IDS = np.random.RandomState(1).choice(np.array([0, 1, 20, 255], np.uint8), SIZE)
IMAGE, LABEL = 'JPEGImages/train_1.jpg', 'SegmentationClass/train_1.png'
LIST = 'ImageSets/Segmentation/train.txt'


def saved(image, kind, **options):
    stream = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(stream, kind, **options)
    return stream.getvalue()


def as_mode(mode, kind='PNG', **options):
    return saved(Image.fromarray(PICTURE).convert(mode), kind, **options)


def bomb(width, height):
    """A PNG whose header promises pixels that its few bytes don't hold."""
    data = bytearray(drawn.png(IDS))
    data[16:24] = struct.pack('>II', width, height)
    data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    return bytes(data)


def turned(orientation, picture=PICTURE):
    exif = Image.Exif()
    exif[images.ORIENTATION] = orientation
    return saved(picture, 'JPEG', exif=exif)


def animated(kind):
    frames = [Image.fromarray(np.full(SIZE, value, np.uint8)) for value in (0, 100, 200)]
    return saved(frames[0], kind, save_all=True, append_images=frames[1:])


JPEG, PNG = drawn.jpeg(PICTURE), drawn.png(PICTURE)
UNREADABLE = 'not an image of JPEG, PNG, BMP, GIF, TIFF, WEBP, PPM'
# What is refused: the file, its bytes, the message.
REFUSED = {
    'zero bytes': (IMAGE, b'', 'the file is empty'),
    'zero bytes of label': (LABEL, b'', 'the file is empty'),
    'truncated JPEG': (IMAGE, JPEG[:-40], 'the file is truncated'),
    'truncated PNG': (IMAGE, PNG[:-40], 'the file is truncated'),
    'truncated label': (LABEL, drawn.png(IDS)[:-30], 'the file is truncated'),
    'text for an image': (IMAGE, b'<html>404 Not Found</html>', UNREADABLE),
    'text for a label': (LABEL, b'\xff\xfe\x00', UNREADABLE),
    'PostScript': (IMAGE, b'%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n', UNREADABLE),
    'bomb': (IMAGE, bomb(60_000, 60_000), 'more than 100000000 pixels'),
    'bomb of a label': (LABEL, bomb(60_000, 60_000), 'more than 100000000 pixels'),
    'animated GIF': (IMAGE, animated('GIF'), 'holds 3 pictures: save the one that is meant'),
    'animated PNG': (IMAGE, animated('PNG'), 'holds 3 pictures'),
    'animated WebP': (IMAGE, animated('WEBP'), 'holds 3 pictures'),
    'pages of TIFF': (IMAGE, animated('TIFF'), 'holds 3 pictures'),
    'animated label': (LABEL, animated('GIF'), 'holds 3 pictures'),
    'label with alpha': (LABEL, as_mode('LA'), 'mode LA'),
    'RGB label of unknown colours': (LABEL, PNG, 'mode RGB'),
    'JPEG label': (LABEL, JPEG, 'a JPEG cannot hold labels'),
    'ids out of range': (LABEL, drawn.png(np.full(SIZE, 77, np.uint8)), 'holds ids 77 (187 pixels); classes are 0..20'),
    '16-bit ids out of range': (LABEL, drawn.grey_png(np.full(SIZE, 256, np.uint16), 16), 'holds ids 256 (187 pixels)'),
    'label of another size': (LABEL, drawn.png(IDS[:-1]), f'is 11x16 but its image {{root}}/{IMAGE} is 11x17'),
    'label as EXIF shows the image': (IMAGE, turned(6, PICTURE[:11]), 'is 11x17 but its image'),
    'float image': (IMAGE, saved(np.ones(SIZE, np.float32), 'TIFF'), 'mode F has no known range'),
}
# What is taken: the bytes of the image, and the RGB pixels that its record holds.
TAKEN = {
    'PNG named .jpg': (PNG, PICTURE),
    'CMYK': (as_mode('CMYK', 'JPEG'), None),
    'greyscale': (as_mode('L'), None),
    'alpha': (saved(np.dstack([PICTURE, PICTURE[..., 0]]), 'PNG'), PICTURE),
    'alpha of a palette': (as_mode('P', transparency=3), None),
    '16-bit': (drawn.grey_png(PICTURE[..., 0].astype(np.uint16) * 256 + 99, 16), np.repeat(PICTURE[..., :1], 3, 2)),
    'one frame of GIF': (as_mode('P', 'GIF'), None),
    'EXIF that says nothing': (turned(1), None),
}


@pytest.fixture
def root(tmp_path):
    drawn.voc(tmp_path / 'raw', {'train': 3})
    return tmp_path / 'raw'


def written(root):
    """The records that the conversion of `root` makes."""
    convert.convert(OWN, root, root.parent / 'out', workers=1, num_shards=1)
    import tensorflow as tf
    shard = root.parent / 'out' / tfrecord.shard_name('train', 0, 1)
    return [tfrecord.parse(data) for data in drawn.batches(lambda: tf.data.TFRecordDataset(str(shard)))]


def problems(root, count=1):
    """The lines of the error, and that nothing was written."""
    with pytest.raises(ValueError, match='nothing was written') as error:
        convert.convert(OWN, root, root.parent / 'out', workers=1)
    lines = str(error.value).splitlines()
    assert lines[0] == f'nothing was written: {count} problem(s) in the data' and len(lines) == count + 1
    assert not (root.parent / 'out').exists()
    return lines[1] if count == 1 else lines[1:]


@pytest.mark.parametrize('name', REFUSED)
def test_it_is_refused_by_name_and_reason(root, name):
    file, data, message = REFUSED[name]
    (root / file).write_bytes(data)
    told = problems(root)
    assert told.startswith((f'  {root}/{IMAGE}: ', f'  {root}/{LABEL}: ')) and message.format(root=root) in told, told


@pytest.mark.parametrize('name', TAKEN)
def test_it_becomes_eight_bit_rgb(root, name):
    data, expected = TAKEN[name]
    (root / IMAGE).write_bytes(data)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert('RGB')) if expected is None else expected
    np.testing.assert_array_equal(drawn.decoded(written(root)[1].image), expected)


def test_a_transparent_palette_keeps_its_ids(root):
    drawn.palette_png(root / LABEL, IDS, transparency=1)
    np.testing.assert_array_equal(drawn.decoded(written(root)[1].label), IDS)


@pytest.mark.parametrize('orientation', range(2, 9))
def test_a_turned_image_and_its_label_must_agree(root, orientation):
    """Sides swapped by EXIF tell which picture the label was drawn on; otherwise nothing tells."""
    (root / IMAGE).write_bytes(turned(orientation))
    if orientation > 4:
        np.testing.assert_array_equal(drawn.decoded(written(root)[1].image), drawn.decoded(turned(orientation)))
        (root / LABEL).write_bytes(drawn.png(IDS.T))
        with pytest.raises(ValueError, match='is 17x11 but its image .* is 11x17; EXIF turns the image'):
            convert.convert(OWN, root, root.parent / 'out', workers=1, overwrite=True)
    else:
        assert f'{IMAGE}: EXIF has it shown mirrored or turned (orientation {orientation})' in problems(root)


def test_official_labels_were_drawn_on_the_pixels_as_stored(root):
    (root / IMAGE).write_bytes(turned(3))
    pairs, _ = convert.find_pairs(VOC, root, 'train')
    assert VOC.exif == 'as_stored' and isinstance(convert.check_pair(VOC, pairs[1]), Checked)


def test_a_square_image_does_not_tell_how_it_is_turned(root):
    (root / IMAGE).write_bytes(turned(6, PICTURE[:11, :11]))
    (root / LABEL).write_bytes(drawn.png(IDS[:11, :11]))
    assert 'turn its pixels and remove the tag' in problems(root)


@pytest.mark.parametrize('name', ['ein Bild mit Grün', 'a  b', '猫', "it's #1 {x} %s", 'x' * 200])
def test_names_with_spaces_and_letters_of_all_kinds(root, name):
    for file in (IMAGE, LABEL):
        (root / file).rename((root / file).with_stem(name))
    (root / LIST).write_text(f'train_0\n{name}\n', encoding='utf-8')
    assert [record.filename for record in written(root)] == ['train_0', name]


@pytest.mark.parametrize(('text', 'found'), [
    ('train_0\n\n\n  \ntrain_2\n\n', ['train_0', 'train_2']),
    ('train_0\r\ntrain_2\r\n', ['train_0', 'train_2']),
    ('\ufefftrain_0\r\n\r\n train_2 ', ['train_0', 'train_2']),
], ids=['blank lines', 'CRLF', 'byte-order mark'])
def test_lists_as_editors_leave_them(root, text, found):
    (root / LIST).write_bytes(text.encode())
    assert [record.filename for record in written(root)] == found


@pytest.mark.parametrize(('text', 'message'), [
    ('train_0\ntrain_1\ntrain_0\n', "lists 'train_0' more than once"),
    ('train_0\n../../../etc/passwd\n', 'leads out of'),
], ids=['duplicate ids', 'a way out'])
def test_lists_that_are_refused(root, text, message):
    (root / LIST).write_text(text)
    told = problems(root)
    assert told.startswith(f'  {root}/{LIST}') and message in told


@pytest.mark.parametrize(('text', 'message'), [(b'', 'names no images'), (b'\xff\xfe\x00\x01', 'not UTF-8 text')])
def test_lists_that_are_none(root, text, message):
    (root / LIST).write_bytes(text)
    with pytest.raises(ValueError, match=f'{LIST}.*{message}'):
        convert.convert(OWN, root, root.parent / 'out', workers=1)


def test_missing_and_extra_files(root):
    (root / IMAGE).unlink()
    (root / LABEL).unlink()
    drawn.touch(root, 'JPEGImages/extra.jpg', 'JPEGImages/Thumbs.db', 'SegmentationClass/._train_0.png')
    assert problems(root, count=2) == [f'  {root}/{IMAGE}: missing', f'  {root}/{LABEL}: missing']


def test_links_that_lead_in_circles(root):
    (root / IMAGE).unlink()
    (root / IMAGE).symlink_to(root / IMAGE)
    (root / 'JPEGImages/loop').symlink_to(root)
    assert 'Too many levels of symbolic links' in problems(root)


@pytest.mark.parametrize('kind', ['folder', 'pipe'])
def test_what_is_no_file(root, kind):
    (root / IMAGE).unlink()
    os.mkfifo(root / IMAGE) if kind == 'pipe' else (root / IMAGE).mkdir()
    assert problems(root) == f'  {root}/{IMAGE}: not a file'


def test_no_permission(root, monkeypatch):
    """By a stand-in, because tests may run as root, who may read everything."""
    read = Path.read_bytes

    def refuse(path):
        if path == root / IMAGE:
            raise PermissionError(13, 'Permission denied', str(path))
        return read(path)
    monkeypatch.setattr(Path, 'read_bytes', refuse)
    assert problems(root) == f'  {root}/{IMAGE}: Permission denied'


def test_a_full_disk_keeps_the_old_records(tmp_path, monkeypatch, capsys):
    """A limit on the size of files, which fails writes as a full disk does."""
    drawn.voc(tmp_path / 'raw', {'train': 5})
    arguments = ['--dataset', 'voc2012', '--raw_dir', str(tmp_path / 'raw'), '--output_dir', str(tmp_path / 'out'),
                 '--num_shards', '1', '--workers', '1']
    assert convert.main(arguments) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()}
    smallest = min(map(len, before.values()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (smallest // 2, hard))
    try:
        with monkeypatch.context() as patched:
            # What the test itself prints goes to files too.
            patched.setattr('sys.stderr', io.StringIO())
            patched.setattr('sys.stdout', io.StringIO())
            status = guarded(lambda: convert.main([*arguments, '--overwrite']))
            told = sys.stderr.getvalue()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert status == 2 and 'train-00000-of-00001.tfrecord cannot be written: ' in told and 'File too large' in told
    assert {path.name: path.read_bytes() for path in (tmp_path / 'out').iterdir()} == before


DAMAGED = {'PNG': PNG, 'palette PNG': as_mode('P'), 'JPEG': JPEG, 'GIF': as_mode('P', 'GIF'),
           'BMP': as_mode('RGB', 'BMP'), 'TIFF': saved(PICTURE, 'TIFF', compression='tiff_lzw'),
           'WEBP': as_mode('RGB', 'WEBP'), 'PPM': as_mode('RGB', 'PPM')}


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')
@pytest.mark.parametrize('kind', DAMAGED)
def test_damaged_bytes_give_a_picture_or_a_reason(tmp_path, kind):
    """Whatever decoders run into, it is a ValueError."""
    random, path = np.random.RandomState(5), tmp_path / 'file'
    refused = 0
    for _ in range(150):
        data = bytearray(DAMAGED[kind])
        for place in random.randint(0, len(data), random.randint(1, 6)):
            data[place] = random.randint(256)
        path.write_bytes(data)
        try:
            stored = images.read(path)
            height, width, _ = stored.pixels().shape
            assert stored.size == (height, width) and height * width <= images.MAX_PIXELS
            assert stored.encoded() and stored.orientation >= 1
        except ValueError as error:
            assert str(error)
            refused += 1
    assert refused

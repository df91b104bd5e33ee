"""Images that keep their bytes aren't decoded at conversion: what their structure must tell instead."""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from datasets import row as rows
from datasets.raw import images, jpeg, png
from datasets.raw.pairs import Pair
from datasets.records import examples
from tests.datasets import drawn

VOC = rows.load('voc2012')
PICTURE = np.random.RandomState(0).randint(0, 256, (40, 56, 3), np.uint8)
SMOOTH = np.add.outer(np.arange(40), np.arange(56)).astype(np.uint8)[..., None].repeat(3, 2)
JPEG, PNG = drawn.jpeg(PICTURE), drawn.png(PICTURE)


def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def behind_header(data, added):
    """A PNG with chunks before its pixels, or a JPEG with segments before its headers."""
    end = 33 if data.startswith(png.SIGNATURE) else 2
    return data[:end] + added + data[end:]


def resized(data, width, height):
    header = struct.pack('>II', width, height) + data[24:29]
    return data[:8] + chunk(b'IHDR', header) + data[33:]


def exif(orientation):
    made = Image.Exif()
    made[images.ORIENTATION] = orientation
    return made


EXIF = exif(6).tobytes()[6:]
THUMBNAIL = b'\xff\xe1' + struct.pack('>H', 2 + len(JPEG)) + JPEG
# Sound files, and whether their structure alone says so.
SOUND = {
    'JPEG': (JPEG, True),
    'smooth JPEG': (drawn.jpeg(SMOOTH), True),
    'tables of its own': (drawn.jpeg(PICTURE, optimize=True), True),
    'all colours kept': (drawn.jpeg(PICTURE, subsampling=0, quality=100), True),
    'restart marks': (drawn.jpeg(PICTURE, restart_marker_blocks=1), True),
    'a picture in EXIF': (behind_header(JPEG, THUMBNAIL), True),
    'a comment': (drawn.jpeg(PICTURE, comment=b'\xff\xd9 \xff\xda'), True),
    'padding': (JPEG + bytes(99), True),
    'two JPEGs': (JPEG + JPEG, True),
    'fill bytes': (behind_header(JPEG, b'\xff\xff'), False),
    'fill bytes at the end': (JPEG[:-2] + b'\xff\xff\xff\xd9', False),
    'progressive': (drawn.jpeg(PICTURE, progressive=True), False),
    'PNG': (PNG, True),
    'smooth PNG': (drawn.png(SMOOTH), True),
    'text first': (behind_header(PNG, chunk(b'tEXt', b'key\0text')), True),
    'EXIF first': (behind_header(PNG, chunk(b'eXIf', EXIF)), True),
    'more behind the end': (PNG + b'more', True),
    'EXIF last': (PNG[:-12] + chunk(b'eXIf', EXIF) + PNG[-12:], False),
    'a palette to suggest': (behind_header(PNG, chunk(b'PLTE', bytes(9))), False),
}


def module(data):
    return png if data.startswith(png.SIGNATURE) else jpeg


def is_taken(by, path):
    try:
        by(path)
    except ValueError as error:
        assert str(error)
        return False
    return True


@pytest.fixture(scope='module')
def decodes():
    """Whether training's decoder takes a file."""
    with tf.Graph().as_default():
        data = tf.compat.v1.placeholder(tf.string, [])
        image = tf.io.decode_jpeg(data, channels=3, dct_method='INTEGER_ACCURATE')
        with tf.compat.v1.Session() as session:
            def run(value):
                try:
                    return session.run(image, {data: value}).shape[-1] == 3
                except tf.errors.InvalidArgumentError:
                    return False
            yield run


def checked(path):
    """The size of an image that is decoded whatever its structure is: what `images.read` is held to."""
    with images.opened(path) as (image, data):
        size = image.height, image.width
        images._load_for_verdict(image, data)
        return size


@pytest.mark.parametrize('name', SOUND)
def test_sound_files_are_taken(tmp_path, decodes, name):
    data, expected = SOUND[name]
    (tmp_path / 'image').write_bytes(data)
    assert module(data).is_whole(data) == expected and module(data).ends(data) and decodes(data)
    stored = images.read(tmp_path / 'image')
    assert stored.size == checked(tmp_path / 'image') == PICTURE.shape[:2]
    assert stored.encoded()[0] == data and stored.orientation == (6 if name.startswith('EXIF') else 1)
    np.testing.assert_array_equal(stored.pixels(), drawn.decoded(data))


DAMAGES = {
    'truncated': lambda data, random: data[:random.randint(1, len(data))],
    'cut': lambda data, random: (lambda ends: data[:ends[0]] + data[ends[1]:])(sorted(random.randint(0, len(data), 2))),
    '1 byte': lambda data, random: overwritten(data, random, 1),
    '100 bytes': lambda data, random: overwritten(data, random, 100),
    'a byte of the headers': lambda data, random: overwritten(data[:700], random, 1) + data[700:],
    'zeros': lambda data, random: zeroed(data, random.randint(len(data)), 512),
    'zeros to the end': lambda data, random: zeroed(data, random.randint(len(data)), len(data)),
    'bytes put in': lambda data, random: (lambda place: data[:place] + random.bytes(50) + data[place:])(
        random.randint(len(data))),
}


def overwritten(data, random, count):
    data = bytearray(data)
    for place in random.randint(0, len(data), count):
        data[place] = random.randint(256)
    return bytes(data)


def zeroed(data, start, count):
    return (data[:start] + bytes(count) + data[start + count:])[:len(data)]


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')
@pytest.mark.parametrize('name', ['JPEG', 'smooth JPEG', 'restart marks', 'progressive', 'a picture in EXIF', 'PNG',
                                  'smooth PNG', 'EXIF last'])
def test_damage_is_found_as_by_decoding(tmp_path, decodes, name):
    random, path, refused = np.random.RandomState(3), tmp_path / 'image', dict.fromkeys(DAMAGES, 0)
    for damage in [*DAMAGES] * 25:
        data = DAMAGES[damage](SOUND[name][0], random)
        path.write_bytes(data)
        taken = is_taken(images.read, path)
        assert taken == is_taken(checked, path)
        # Where a damaged header tells another mode than RGB, the record's bytes are a new PNG.
        assert not taken or decodes(images.read(path).encoded()[0])
        refused[damage] += not taken
    assert refused['truncated'] > 20 and refused['a byte of the headers']


# Files that Pillow decodes and training couldn't.
HALF = {'a JPEG without end': JPEG[:-2] + bytes(2), 'a wrong checksum': PNG[:-13] + b'?' + PNG[-12:]}


@pytest.mark.parametrize('name', HALF)
def test_what_only_training_would_refuse(tmp_path, decodes, name):
    (tmp_path / 'image').write_bytes(HALF[name])
    assert drawn.decoded(HALF[name]).size and not decodes(HALF[name])
    for by in (checked, images.read):
        with pytest.raises(ValueError, match='the file is truncated or damaged'):
            by(tmp_path / 'image')


def test_a_size_that_the_pixels_cannot_have_is_decoded(tmp_path):
    data = resized(PNG, 9000, 9000)
    assert not png.is_whole(data)
    (tmp_path / 'image').write_bytes(data)
    with pytest.raises(ValueError, match='truncated'):
        images.read(tmp_path / 'image')


def test_pixels_cut_before_their_checksum_are_left_to_verification(tmp_path):
    """What decoding alone finds, and what is paid for it: here, and where such an image must be cut into tiles."""
    body = PNG[41:-16]
    data = PNG[:33] + chunk(b'IDAT', body[:len(body) // 2]) + PNG[-12:]
    pair = Pair('one', tmp_path / 'image', tmp_path / 'label')
    pair.image.write_bytes(data)
    drawn.palette_png(pair.label, np.zeros(PICTURE.shape[:2], np.uint8))
    assert png.is_whole(data) and not is_taken(checked, pair.image)
    assert not examples.make(VOC, pair).problems
    tiled = examples.make(drawn.with_classes(VOC, tiles=rows.Tiles(20, 0)), pair)
    assert [problem.path for problem in tiled.problems] == [pair.image]


@pytest.mark.parametrize('orientation', range(1, 9))
@pytest.mark.parametrize(('kind', 'mode'), [('JPEG', 'RGB'), ('JPEG', 'L'), ('PNG', 'RGB'), ('PNG', 'L'),
                                            ('WEBP', 'RGB'), ('TIFF', 'RGB')])
def test_orientation(tmp_path, kind, mode, orientation):
    Image.fromarray(PICTURE).convert(mode).save(tmp_path / 'image', kind, exif=exif(orientation))
    assert images.read(tmp_path / 'image').orientation == orientation


def test_jpeg_headers_that_decoders_refuse():
    start = JPEG.index(b'\xff\xc4')
    tables = JPEG[:start + 5] + b'\xff' * 16 + JPEG[start + 21:]
    assert jpeg.is_whole(JPEG) and not jpeg.is_whole(tables) and jpeg.ends(tables)


def test_labels_of_ids_are_greyscale_pngs():
    for ids in (np.zeros((1, 1), np.uint8), SMOOTH[..., 0], PICTURE[..., 0], np.asfortranarray(PICTURE[..., 0])):
        with Image.open(io.BytesIO(png.of_ids(ids))) as image:
            assert image.mode == 'L'
            np.testing.assert_array_equal(np.asarray(image), ids)

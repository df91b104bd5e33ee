import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets.raw import images
from tests.datasets import drawn

PICTURE = np.random.RandomState(0).randint(0, 256, (10, 14, 3), np.uint8)


def converted(tmp_path, data):
    path = tmp_path / 'image'
    path.write_bytes(data)
    stored = images.read(path)
    assert stored.size == stored.pixels().shape[:2] == (10, 14)
    return stored.encoded()


@pytest.mark.parametrize(('data', 'image_format'), [
    (drawn.jpeg(PICTURE), 'jpeg'), (drawn.jpeg(PICTURE, progressive=True), 'jpeg'), (drawn.png(PICTURE), 'png')])
def test_rgb_keeps_its_bytes(tmp_path, data, image_format):
    assert converted(tmp_path, data) == (data, image_format)


def saved(image, kind):
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


OTHERS = [('L', 'PNG'), ('L', 'JPEG'), ('1', 'PNG'), ('P', 'PNG'), ('P', 'GIF'), ('RGBA', 'PNG'), ('LA', 'PNG'),
          ('CMYK', 'JPEG'), ('RGB', 'BMP'), ('RGB', 'TIFF'), ('RGB', 'WEBP')]


@pytest.mark.parametrize(('mode', 'kind'), OTHERS)
def test_others_become_rgb_pngs(tmp_path, mode, kind):
    data = saved(Image.fromarray(PICTURE).convert(mode), kind)
    encoded, image_format = converted(tmp_path, data)
    assert image_format == 'png'
    expected = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
    np.testing.assert_array_equal(drawn.decoded(encoded), expected)


def test_sixteen_bits_keep_the_high_byte(tmp_path):
    grey = PICTURE[..., 0].astype(np.uint16) * 256 + 77
    encoded, _ = converted(tmp_path, drawn.grey_png(grey, 16))
    np.testing.assert_array_equal(drawn.decoded(encoded), np.repeat(PICTURE[..., :1], 3, axis=2))


@pytest.mark.parametrize('data', [drawn.png(PICTURE), drawn.jpeg(PICTURE), drawn.jpeg(PICTURE, progressive=True)],
                         ids=['png', 'jpeg', 'progressive jpeg'])
def test_every_cut_is_noticed(tmp_path, data):
    path = tmp_path / 'image'
    path.write_bytes(data)
    assert images.read(path)
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ValueError, match='empty|truncated|not an image'):
            images.read(path)


@pytest.mark.filterwarnings('error')
@pytest.mark.parametrize(('width', 'height', 'message'), [(60000, 60000, 'more than 100000000 pixels'),
                                                          (12000, 9000, '12000x9000 is more than 100000000 pixels')])
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, width, height, message):
    data = bytearray(drawn.png(PICTURE))
    data[16:24] = struct.pack('>II', width, height)
    data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
    path = tmp_path / 'bomb.png'
    path.write_bytes(data)
    with pytest.raises(ValueError, match=message):
        images.read(path)


def test_no_known_range(tmp_path):
    path = tmp_path / 'image.tiff'
    Image.fromarray(np.ones((3, 3), np.float32)).save(path)
    with pytest.raises(ValueError, match='mode F has no known range'):
        images.read(path)

"""GeoTIFFs as Inria's: with tags of place, in the forms that such programs write, and of their size."""

import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from datasets.convert import convert
from datasets.input.index import index_records
from datasets.records import tfrecord
from datasets.row import load
from tests.datasets import drawn
from tests.paths import ROOT

# Tag -> (type, values): pixel scale, tie point and keys of UTM zone 14 north.
GEO = {33550: (12, (0.3, 0.3, 0.0)), 33922: (12, (0.0, 0.0, 0.0, 616500.0, 3345000.0, 0.0)),
       34735: (3, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 26914))}
TILE = 256
PEAK = """
import sys
from console import memory
from datasets import convert
code = convert.main()
print(memory.peak_bytes())
sys.exit(code)
"""


def strips(path, pixels, **options):
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, (kind, values) in GEO.items():
        tags.tagtype[tag], tags[tag] = kind, values
    Image.fromarray(pixels).save(path, 'TIFF', tiffinfo=tags, **options)


def tiled(path, pixels):
    """By hand: Pillow writes no tiles."""
    height, width, channels = *pixels.shape[:2], pixels.size // (pixels.shape[0] * pixels.shape[1])
    rows, columns = -(-height // TILE), -(-width // TILE)
    padded = np.zeros((rows * TILE, columns * TILE, channels), np.uint8)
    padded[:height, :width] = pixels.reshape(height, width, channels)
    tiles = padded.reshape(rows, TILE, columns, TILE, channels).swapaxes(1, 2)
    size, count = TILE * TILE * channels, rows * columns
    tags = {256: (4, [width]), 257: (4, [height]), 258: (3, [8] * channels), 259: (3, [1]),
            262: (3, [2 if channels == 3 else 1]), 277: (3, [channels]), 322: (4, [TILE]), 323: (4, [TILE]),
            324: (4, [8 + size * number for number in range(count)]), 325: (4, [size] * count), **GEO}
    start = 8 + tiles.size
    directory, behind = struct.pack('<H', len(tags)), b''
    for tag, (kind, values) in sorted(tags.items()):
        data = struct.pack(f'<{len(values)}{ {3: "H", 4: "I", 12: "d"}[kind]}', *values)
        directory += struct.pack('<HHI', tag, kind, len(values))
        if len(data) > 4:
            place = start + 2 + 12 * len(tags) + 4 + len(behind)
            data, behind = struct.pack('<I', place), behind + data
        directory += data.ljust(4, b'\0')
    path.write_bytes(b'II*\0' + struct.pack('<I', start) + tiles.tobytes() + directory + bytes(4) + behind)


FORMS = {'plain': strips, 'LZW': lambda path, pixels: strips(path, pixels, compression='tiff_lzw'), 'tiled': tiled}


def draw(root, name, form, size, noise=True):
    """An image and its label, buildings in blocks of 50; returns both."""
    random = np.random.RandomState(len(name))
    for folder in ('images', 'gt'):
        (root / 'train' / folder).mkdir(parents=True, exist_ok=True)
    building = np.kron(random.rand(size // 50, size // 50) < 0.2, np.ones((50, 50), bool))
    image = np.repeat((60 + 120 * building).astype(np.uint8)[..., None], 3, axis=2)
    if noise:
        image += random.randint(0, 60, image.shape, np.uint8)
    FORMS[form](root / f'train/images/{name}.tif', image)
    FORMS[form](root / f'train/gt/{name}.tif', building.astype(np.uint8) * 255)
    return image, building


@pytest.mark.parametrize('form', FORMS)
def test_tiles_are_the_pixels_in_each_form(tmp_path, form):
    image, building = draw(tmp_path, 'tyrol-w6', form, 1100)
    with Image.open(tmp_path / 'train/images/tyrol-w6.tif') as file:
        assert file.tag_v2[33550] == GEO[33550][1] and bool(file.tag_v2.get(322)) == (form == 'tiled')
    convert(load('inria'), tmp_path, tmp_path / 'records', ['train'], num_shards=1, workers=1)
    index = index_records(tmp_path / 'records', 'train')
    assert index.num_examples == 9
    with open(index.files[0], 'rb') as file:
        data = file.read()
    for offset in index.offsets[0].tolist():
        length, = struct.unpack_from('<Q', data, offset)
        record = tfrecord.parse(data[offset + 12:offset + 12 + length])
        top, left = map(int, record.filename.rsplit('_', 2)[1:])
        np.testing.assert_array_equal(drawn.decoded(record.image), image[top:top + 500, left:left + 500])
        np.testing.assert_array_equal(drawn.decoded(record.label), building[top:top + 500, left:left + 500])


def peak_bytes(root):
    """The most memory that one process used to convert all images of a folder."""
    command = [sys.executable, '-c', PEAK,
               '--dataset', 'inria', '--raw_dir', root, '--output_dir', root / 'records', '--splits', 'train',
               '--num_shards', '1', '--workers', '1']
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return int(result.stdout.split()[-1])


@pytest.mark.slow
def test_four_images_of_full_size_take_the_memory_of_two(tmp_path):
    used = {}
    for count in (2, 4):
        draw(tmp_path / str(count), 'tyrol-w6', 'plain', 5000, noise=False)
        for folder in ('images', 'gt'):
            for number in range(7, 6 + count):
                (tmp_path / str(count) / f'train/{folder}/tyrol-w{number}.tif').symlink_to('tyrol-w6.tif')
        used[count] = peak_bytes(tmp_path / str(count))
    one_image = 5000 * 5000 * 3
    assert one_image < used[2] and used[4] - used[2] < one_image, used

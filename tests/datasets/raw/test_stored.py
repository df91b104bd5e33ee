"""Ids in every format that labels may come in, from files put together here by the formats' definitions."""

import io
import itertools
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from datasets import row as rows
from datasets.raw import images, labels, png
from tests.datasets import drawn
from tests.datasets.test_geotiff import tiled

VOC = rows.load('voc2012')
TWO = np.array([[0, 1, 1, 0, 1], [1, 0, 1, 1, 1], [0, 0, 0, 1, 0]])
FOUR = np.array([[0, 1, 2, 0, 3], [3, 2, 1, 1, 0], [2, 2, 0, 1, 0]])
MINISBLACK, MINISWHITE, PALETTE = 1, 0, 3
UNSIGNED, SIGNED = 1, 2
GREYS = [(grey, grey, grey) for grey in range(256)]


def rows_of(ids, bits, align=1):
    """Each row's ids in so many bits, filled up to a multiple of `align` bytes."""
    return b''.join(drawn.packed(row & (1 << bits) - 1, bits).ljust(-(-len(row) * bits // (8 * align)) * align, b'\0')
                    for row in ids)


def tiff(ids, bits, photometric=MINISBLACK, order='<', fill_order=1, sample=UNSIGNED, deflate=False, orientation=1):
    """TIFF 6.0, one strip; a fill order of 2 has the first pixel in the lowest bits of a byte."""
    height, width = ids.shape
    data = ids.astype(f'{order}u{bits // 8}').tobytes() if bits in (16, 32) else rows_of(ids, bits)
    data = zlib.compress(data) if deflate else data
    if fill_order == 2:
        data = bytes(int(f'{byte:08b}'[::-1], 2) for byte in data)
    tags = {256: width, 257: height, 258: bits, 259: 8 if deflate else 1, 262: photometric, 266: fill_order, 273: 8,
            274: orientation, 277: 1, 278: height, 279: len(data), 339: sample}
    behind = b''
    if photometric == PALETTE:
        tags[320], behind = 0, bytes(range(256)) * (6 << bits >> 8 or 1)
        behind = behind[:6 << bits]
    start = 8 + len(data) + len(data) % 2
    fields = [struct.pack(order + 'HHII', tag, 4, 1, value) for tag, value in sorted(tags.items()) if tag != 320]
    if behind:
        place = start + 2 + 12 * len(tags) + 4
        fields = sorted([*fields, struct.pack(order + 'HHII', 320, 3, 3 << bits, place)],
                        key=lambda field: struct.unpack(order + 'H', field[:2]))
    return (struct.pack(order + '2sHI', b'II' if order == '<' else b'MM', 42, start) + data + bytes(len(data) % 2)
            + struct.pack(order + 'H', len(tags)) + b''.join(fields) + bytes(4) + behind)


def pnm(magic, ids, maxval=None):
    """P1 and P4 hold bits, P2 and P5 numbers up to maxval; P1 and P2 are text."""
    height, width = ids.shape
    head = f'{magic}\n# a comment\n{width} {height}\n' + (f'{maxval}\n' if maxval else '')
    if magic in ('P1', 'P2'):
        return (head + '\n'.join(' '.join(map(str, row)) for row in ids.tolist())).encode() + b'\n'
    return head.encode() + (rows_of(ids, 1) if magic == 'P4' else ids.astype('>u2' if maxval > 255 else 'u1').tobytes())


def bmp(ids, bits, palette):
    height, width = ids.shape
    data = rows_of(ids[::-1], bits, align=4)
    colors = b''.join(bytes([blue, green, red, 0]) for red, green, blue in palette)
    info = struct.pack('<IiiHHIIiiII', 40, width, height, 1, bits, 0, len(data), 0, 0, len(palette), 0)
    start = 14 + len(info) + len(colors)
    return struct.pack('<2sIHHI', b'BM', start + len(data), 0, 0, start) + info + colors + data


def gif(ids, canvas=None):
    image = Image.fromarray(ids.astype(np.uint8))
    image.putpalette(np.random.RandomState(0).bytes(768))
    stream = io.BytesIO()
    image.save(stream, 'GIF')
    data = stream.getvalue()
    return data[:6] + struct.pack('<HH', *canvas) + data[10:] if canvas else data


def stored(path, data):
    path.write_bytes(data)
    return labels.decode(path)


@pytest.mark.parametrize('bits', [1, 2, 4, 8, 12, 16, 32])
def test_grey_tiffs(tmp_path, bits):
    """Those of them that Pillow opens, which some are as TIFF's photometric interpretation has them shown inverted."""
    ids, found = TWO if bits == 1 else FOUR, []
    for photometric, order, fill_order, deflate in itertools.product(
            (MINISBLACK, MINISWHITE, PALETTE), '<>', (1, 2), (False, True)):
        if photometric == PALETTE and bits > 8:
            continue
        data = tiff(ids, bits, photometric, order, fill_order, deflate=deflate)
        try:
            np.testing.assert_array_equal(stored(tmp_path / 'label.tif', data), ids)
            found.append(photometric)
        except ValueError as error:
            assert str(error).startswith(('not an image', 'the file is truncated'))
    assert MINISBLACK in found and (MINISWHITE in found or bits in (12, 32)) and (PALETTE in found or bits > 8)


@pytest.mark.parametrize('bits', [8, 16, 32])
@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('deflate', [False, True])
def test_signed_tiffs(tmp_path, bits, order, deflate):
    ids = np.where(FOUR == 3, -1, FOUR)
    path = tmp_path / 'label.tif'
    np.testing.assert_array_equal(stored(path, tiff(ids, bits, order=order, sample=SIGNED, deflate=deflate)), ids)
    with pytest.raises(ValueError, match=r'holds ids -1 \(2 pixels\)'):
        labels.read(path, VOC)
    ignored = drawn.with_classes(VOC, ids={-1: 255})
    np.testing.assert_array_equal(labels.read(path, ignored), np.where(FOUR == 3, 255, FOUR))


def test_a_tiff_of_several_tiles(tmp_path):
    ids = np.arange(90_000).reshape(300, 300) // 400 % 200
    tiled(tmp_path / 'label.tif', ids)
    with Image.open(tmp_path / 'label.tif') as image:
        assert len(image.tile) > 1
    np.testing.assert_array_equal(labels.decode(tmp_path / 'label.tif'), ids)


def test_a_file_without_pixels(tmp_path):
    data = drawn.png(FOUR.astype(np.uint8))
    with pytest.raises(ValueError, match='the file is truncated or damaged'):
        stored(tmp_path / 'label.png', data[:data.index(b'IDAT') - 4] + data[data.index(b'IEND') - 4:])


@pytest.mark.parametrize('magic', ['P1', 'P4'])
def test_bitmaps_of_netpbm(tmp_path, magic):
    np.testing.assert_array_equal(stored(tmp_path / 'label.pbm', pnm(magic, TWO)), TWO)


@pytest.mark.parametrize('magic', ['P2', 'P5'])
@pytest.mark.parametrize('maxval', [3, 20, 254, 255, 256, 1000, 65534, 65535])
def test_greymaps_of_netpbm(tmp_path, magic, maxval):
    ids = FOUR.copy()
    ids[0, 0] = maxval
    np.testing.assert_array_equal(stored(tmp_path / 'label.pgm', pnm(magic, ids, maxval)), ids)
    ids = np.arange(min(maxval, 400) + 1)[None]
    np.testing.assert_array_equal(stored(tmp_path / 'label.pgm', pnm(magic, ids, maxval)), ids)


def test_a_greymap_that_holds_more_than_it_says(tmp_path):
    ids = np.array([[0, 3, 255]])
    np.testing.assert_array_equal(stored(tmp_path / 'label.pgm', pnm('P5', ids, 3)), ids)


@pytest.mark.parametrize('mode', ['P', 'L'])
@pytest.mark.parametrize('interlaced', [False, True])
def test_transparency_and_passes_of_a_png(tmp_path, mode, interlaced):
    """Neither what a palette makes transparent nor the order of the rows is part of an id."""
    ids = np.arange(13 * 17).reshape(13, 17) % 21
    passes = [ids[top::down, left::right] for top, left, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))]
    lines = [row for part in (passes if interlaced else [ids]) for row in part]
    header = struct.pack('>IIBBBBB', 17, 13, 8, 3 if mode == 'P' else 0, 0, 0, interlaced)
    chunks = [(b'IHDR', header), *([(b'PLTE', bytes(range(63)))] if mode == 'P' else []), (b'tRNS', bytes([0, 1])),
              (b'IDAT', zlib.compress(b''.join(bytes([0, *line]) for line in lines))), (b'IEND', b'')]
    data = png.SIGNATURE + b''.join(struct.pack('>I', len(body)) + kind + body
                                    + struct.pack('>I', zlib.crc32(kind + body)) for kind, body in chunks)
    np.testing.assert_array_equal(stored(tmp_path / 'label.png', data), ids)
    np.testing.assert_array_equal(drawn.decoded(labels.load(tmp_path / 'label.png', VOC).encoded()), ids)


BLACK, WHITE = (0, 0, 0), (255, 255, 255)


@pytest.mark.parametrize(('bits', 'palette'), [
    (1, [BLACK, WHITE]), (1, [WHITE, BLACK]), (1, GREYS[:2]), (4, GREYS[3:19]), (8, GREYS), (8, GREYS[:4]),
    (8, [WHITE, BLACK])])
def test_bitmaps_of_windows(tmp_path, bits, palette):
    ids = TWO if len(palette) == 2 else FOUR
    np.testing.assert_array_equal(stored(tmp_path / 'label.bmp', bmp(ids, bits, palette)), ids)


@pytest.mark.parametrize(('bits', 'palette'), [(4, [BLACK, WHITE]), (8, [BLACK, WHITE]), (4, GREYS[:16])])
def test_bitmaps_of_windows_that_pillow_misreads(tmp_path, bits, palette):
    """It takes the number of colours for the number of bits when all are grey."""
    path = tmp_path / 'label.bmp'
    path.write_bytes(bmp(TWO, bits, palette))
    for read in (labels.decode, images.read, lambda path: labels.read(path, drawn.with_classes(VOC, labels='colors'))):
        with pytest.raises(ValueError, match=f'a BMP of {bits} bits whose palette is grey: save it as PNG'):
            read(path)


def test_a_gif_that_covers_a_part_of_its_canvas(tmp_path):
    np.testing.assert_array_equal(stored(tmp_path / 'label.gif', gif(FOUR)), FOUR)
    for row in (VOC, drawn.with_classes(VOC, labels='colors')):
        (tmp_path / 'label.gif').write_bytes(gif(FOUR, (6, 3)))
        with pytest.raises(ValueError, match='its picture, 5x3, covers a part of 6x3: the rest has no ids'):
            labels.read(tmp_path / 'label.gif', row)


@pytest.mark.parametrize('row', [VOC, drawn.with_classes(VOC, labels='colors')])
def test_jpegs_inside_of_others(tmp_path, row):
    picture = Image.fromarray(np.kron(FOUR, np.ones((16, 16))).astype(np.uint8))
    picture.save(tmp_path / 'label.tif', compression='jpeg')
    picture.save(tmp_path / 'label.jpg', 'MPO', save_all=True, append_images=[picture])
    for name in ('label.tif', 'label.jpg'):
        with pytest.raises(ValueError, match='a JPEG cannot hold labels'):
            labels.read(tmp_path / name, row)


@pytest.mark.parametrize('orientation', range(1, 9))
def test_tiffs_stay_as_they_are_stored(tmp_path, orientation):
    """Pillow turns them as their tag says; other formats it leaves to the caller."""
    path = tmp_path / 'x.tif'
    np.testing.assert_array_equal(stored(path, tiff(FOUR, 8, orientation=orientation)), FOUR)
    image = images.read(path)
    assert image.size == FOUR.shape and image.orientation == orientation
    np.testing.assert_array_equal(image.pixels(), np.repeat(FOUR[..., None], 3, axis=2))
    colored = drawn.with_classes(VOC, labels='colors', class_names=tuple('abcd'), palette=tuple(GREYS[:4]))
    np.testing.assert_array_equal(labels.read(path, colored), FOUR)

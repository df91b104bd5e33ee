import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datasets import row as rows
from datasets.raw import labels, png
from tests.datasets import drawn

VOC = rows.load('voc2012')
IDS = np.array([[0, 1, 15], [20, 255, 2]], np.uint8)
FEW = np.array([[0, 1, 3], [2, 3, 1]], np.uint8)
TWO = np.array([[0, 1, 1], [1, 0, 1]], np.uint8)


def saved(array, kind, **options):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def palette(tmp_path, ids, **options):
    drawn.palette_png(tmp_path / 'palette.png', ids, **options)
    return (tmp_path / 'palette.png').read_bytes()


# What is stored -> (bytes of the file, the ids in it). Every one has a way to be misread without an error.
STORED = {
    'palette': lambda path: (palette(path, IDS), IDS),
    'palette, 4 bits': lambda path: (palette(path, FEW, bits=4), FEW),
    'palette, 2 bits': lambda path: (palette(path, FEW, bits=2), FEW),
    'palette, 1 bit': lambda path: (palette(path, TWO, bits=1), TWO),
    'grey': lambda path: (saved(IDS, 'PNG'), IDS),
    'grey, 4 bits': lambda path: (drawn.grey_png(FEW, 4), FEW),
    'grey, 2 bits': lambda path: (drawn.grey_png(FEW, 2), FEW),
    'grey, 1 bit': lambda path: (drawn.grey_png(TWO, 1), TWO),
    'one bit of Pillow': lambda path: (saved(TWO.astype(bool), 'PNG'), TWO),
    'grey, 16 bits': lambda path: (drawn.grey_png(IDS, 16), IDS),
    '16-bit TIFF': lambda path: (saved(IDS.astype(np.uint16), 'TIFF'), IDS),
    '32-bit TIFF': lambda path: (saved(IDS.astype(np.int32), 'TIFF'), IDS),
    'BMP': lambda path: (saved(IDS, 'BMP'), IDS),
}


@pytest.mark.parametrize('stored', STORED)
def test_ids_are_those_that_the_file_stores(tmp_path, stored):
    data, expected = STORED[stored](tmp_path)
    path = tmp_path / 'label'
    path.write_bytes(data)
    ids = labels.read(path, VOC)
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids, expected)


def test_the_trap_that_this_avoids(tmp_path):
    ids = np.array([[1, 15, 255]], np.uint8)
    image = Image.fromarray(ids)
    colors = np.zeros((256, 3), np.uint8)
    colors[:21] = VOC.palette
    colors[255] = (224, 224, 192)
    image.putpalette(colors.tobytes())
    image.save(tmp_path / 'label.png')
    luma = drawn.evaluate(lambda: tf.io.decode_png((tmp_path / 'label.png').read_bytes(), channels=1))
    assert luma.ravel().tolist() == [38, 147, 220]
    assert labels.read(tmp_path / 'label.png', VOC).ravel().tolist() == [1, 15, 255]


REFUSED = {'RGB': 'mode RGB holds colours', 'RGBA': 'mode RGBA holds colours', 'LA': 'mode LA holds colours',
           'F': 'mode F holds colours'}


@pytest.mark.parametrize('mode', REFUSED)
def test_colours_are_refused(tmp_path, mode):
    path = tmp_path / 'label.tiff'
    Image.new(mode, (3, 2)).save(path)
    with pytest.raises(ValueError, match=REFUSED[mode]):
        labels.read(path, VOC)


def test_a_jpeg_is_refused(tmp_path):
    path = tmp_path / 'label.png'
    path.write_bytes(drawn.jpeg(IDS))
    with pytest.raises(ValueError, match='JPEG cannot hold labels'):
        labels.read(path, VOC)


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int32])
def test_the_id_map_and_what_is_outside(dtype):
    camvid = rows.load('camvid')
    raw = np.array([[0, 10, 11, 255]], dtype)
    assert labels.to_ids(raw, camvid)[0].tolist() == [[0, 10, 255, 255]]
    with pytest.raises(ValueError, match=r'holds ids 12 \(2 pixels\), 200 \(1 pixels\); classes are 0..10, ignored is'):
        labels.to_ids(np.array([[12, 12, 200, 1]], dtype), camvid)


@pytest.mark.parametrize(('count', 'end'), [(8, r'19 \(1 pixels\); cl'), (9, r'19 \(1 pixels\) and 1 more; cl')])
def test_eight_ids_outside_are_named_and_the_others_counted(count, end):
    with pytest.raises(ValueError, match=end):
        labels.to_ids(np.arange(12, 12 + count)[np.newaxis], rows.load('camvid'))


def test_ids_that_lead_to_every_class_are_the_only_ones():
    row = drawn.with_classes(VOC, class_names=('sky', 'road'), ids={0: 255, 7: 1, 9: 0})
    raw = np.array([[0, 7], [9, 9]], np.uint8)
    assert labels.to_ids(raw, row)[0].tolist() == [[255, 1], [0, 0]]
    # Such as the file of train ids taken for that of label ids, which would otherwise be mapped once more.
    with pytest.raises(ValueError, match=r'1 \(1 pixels\), 255 \(1 pixels\); ids of voc2012 are the 3 in 0..9 that'):
        labels.to_ids(np.array([[0, 1, 255]], np.uint8), row)


def test_colours_and_masks_of_classes_are_not_mapped_once_more(tmp_path):
    """`ids` are of labels that hold ids."""
    row = drawn.with_classes(VOC, class_names=('sky', 'road'), palette=((9, 9, 9), (0, 0, 7)), ids={0: 1, 1: 0})
    Image.fromarray(np.asarray(row.palette, np.uint8)[TWO]).save(tmp_path / 'label.png')
    for name, mask in (('sky', TWO == 0), ('road', TWO == 1)):
        Image.fromarray(mask).save(tmp_path / f'{name}.png')
    for path, kind in (('label.png', 'colors'), ('{class}.png', 'one_hot')):
        label = labels.load(tmp_path / path, drawn.with_classes(row, labels=kind))
        np.testing.assert_array_equal(label.ids, TWO)
        assert label.pixels[:2].tolist() == [2, 4]


def test_no_mask_of_any_class(tmp_path):
    with pytest.raises(FileNotFoundError):
        labels.read(tmp_path / '{class}.png', drawn.with_classes(VOC, labels='one_hot'))


def test_predictions_go_back_to_raw_ids():
    row = drawn.with_classes(VOC, class_names=('sky', 'road'), ids={0: 255, 7: 1, 9: 0, 300: 1})
    raw = labels.to_raw(np.array([[0, 1], [1, 1]], np.int64), row)
    assert raw.dtype == np.uint8 and raw.tolist() == [[9, 7], [7, 7]]
    row = drawn.with_classes(row, ids={0: 1, 300: 0})
    raw = labels.to_raw(np.array([[0, 1]], np.uint8), row)
    assert raw.dtype == np.uint16 and raw.tolist() == [[300, 0]]
    np.testing.assert_array_equal(labels.to_ids(raw, row)[0], [[0, 1]])


def test_ids_beyond_eight_bits_are_refused():
    for value in (256, 65535, -1):
        with pytest.raises(ValueError, match=rf'holds ids {value} \(1 pixels\)'):
            labels.to_ids(np.array([[0, value]], np.int32), VOC)


@pytest.mark.parametrize('stored', STORED)
def test_rows_that_are_kept_decode_to_the_same_ids(tmp_path, stored):
    data, expected = STORED[stored](tmp_path)
    path = tmp_path / 'label'
    path.write_bytes(data)
    kept = png.as_greyscale(data)
    assert (kept is not None) == (stored in ('palette', 'grey'))
    encoded = labels.load(path, VOC).encoded()
    assert encoded == (kept or labels.encode(expected)) and encoded[24:26] == b'\x08\x00'
    decoded = drawn.evaluate(lambda: tf.io.decode_png(encoded, channels=1))
    np.testing.assert_array_equal(decoded[..., 0], expected)


@pytest.mark.parametrize('stored', STORED)
def test_counts_are_of_class_ids(tmp_path, stored):
    data, raw = STORED[stored](tmp_path)
    (tmp_path / 'label').write_bytes(data)
    swapped = drawn.with_classes(VOC, ids={0: 1, 1: 0, 3: 2})
    label = labels.load(tmp_path / 'label', swapped)
    np.testing.assert_array_equal(label.ids, np.select([raw == 0, raw == 1, raw == 3], [1, 0, 2], raw))
    np.testing.assert_array_equal(label.pixels, np.bincount(label.ids.ravel(), minlength=256))
    np.testing.assert_array_equal(drawn.decoded(label.encoded()), label.ids)


def test_rows_are_kept_where_no_id_changes(tmp_path):
    camvid = rows.load('camvid')
    for last, kept in ((10, True), (11, False)):
        data = palette(tmp_path, np.array([[0, 1, last]], np.uint8))
        label = labels.load(tmp_path / 'palette.png', camvid)
        assert (label.encoded() == png.as_greyscale(data)) == kept
        assert drawn.decoded(label.encoded()).tolist() == [[0, 1, last if kept else 255]]


def test_a_label_without_pixels():
    for dtype in (np.uint8, np.uint16, np.int32):
        ids, pixels = labels.to_ids(np.zeros((0, 0), dtype), VOC)
        assert not ids.size and not pixels.any()


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_encoding_keeps_every_id(data):
    height, width = data.draw(st.integers(1, 20)), data.draw(st.integers(1, 20))
    values = data.draw(st.lists(st.integers(0, 255), min_size=height * width, max_size=height * width))
    ids = np.array(values, np.uint8).reshape(height, width)
    encoded = labels.encode(ids)
    np.testing.assert_array_equal(drawn.decoded(encoded), ids)
    assert encoded[24:26] == b'\x08\x00'

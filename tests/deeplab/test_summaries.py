"""Pictures for TensorBoard."""

import io

import numpy as np
from PIL import Image

from deeplab import summaries
from deeplab.compat import tf

PALETTE = ((0, 0, 0), (128, 0, 0), (0, 128, 0))


def test_void_is_white_whatever_value_the_dataset_ignores():
    table = summaries.palette_table(PALETTE)
    assert (table[:3] == PALETTE).all() and (table[3:] == 255).all()
    labels = np.array([[[0, 1, 2, 3, 255, -1]]], np.int32)
    images = np.full((1, 1, 6, 3), 300.0, np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        picture = session.run(summaries.triptych(tf.constant(images), tf.constant(labels),
                                                 tf.constant(labels[..., ::-1]), PALETTE))
    assert picture.shape == (1, 1, 18, 3) and picture.dtype == np.uint8
    truth = [*PALETTE, (255,) * 3, (255,) * 3, (255,) * 3]
    assert picture[0, 0, 6:12].tolist() == [list(colour) for colour in truth]
    assert picture[0, 0, 12:].tolist() == [list(colour) for colour in truth[::-1]]
    assert (picture[0, 0, :6] == 255).all()


def test_image_summary_keeps_every_pixel():
    picture = np.random.RandomState(0).randint(0, 256, (5, 7, 3)).astype(np.uint8)
    value, = summaries.image_summary('tag', picture).value
    assert (value.tag, value.image.height, value.image.width) == ('tag', 5, 7)
    assert (np.asarray(Image.open(io.BytesIO(value.image.encoded_image_string))) == picture).all()


def test_confusion_picture_darkens_with_the_share_of_the_row():
    picture = summaries.confusion_picture(np.array([[9, 0], [4, 4]]), ['a', 'b'])
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    assert (picture < 100).any()
    empty = summaries.confusion_picture(np.zeros((2, 2), np.int64), ['a', 'b'])
    assert empty.shape == picture.shape

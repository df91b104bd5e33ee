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


def test_confusion_picture_shows_shares_of_the_truth(monkeypatch):
    """Rows are the truth, and sum to 1; shares below a hundredth have no number, and dark cells have white ones."""
    drawn = []

    class Canvas(summaries.FigureCanvasAgg):
        def draw(self):
            drawn.append(self.figure.axes[0])
            super().draw()

    monkeypatch.setattr(summaries, 'FigureCanvasAgg', Canvas)
    picture = summaries.confusion_picture(np.array([[996, 4, 0], [30, 50, 20], [0, 0, 0]]), ['a', 'b', 'c'])
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3 and (picture < 100).any()
    axes, = drawn
    np.testing.assert_allclose(axes.images[0].get_array(), [[.996, .004, 0], [.3, .5, .2], [0, 0, 0]])
    assert axes.images[0].get_clim() == (0, 1)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('prediction', 'truth')
    names = [[label.get_text() for label in axis.get_ticklabels()] for axis in (axes.xaxis, axes.yaxis)]
    assert names == [['a', 'b', 'c']] * 2
    numbers = {text.get_position(): (text.get_text(), text.get_color()) for text in axes.texts}
    assert numbers == {(0, 0): ('100', 'white'), (0, 1): ('30', 'black'), (1, 1): ('50', 'black'),
                       (2, 1): ('20', 'black')}


def test_confusion_picture_grows_with_its_classes():
    sides = [summaries.confusion_picture(np.eye(count, dtype=int), ['name'] * count).shape for count in (2, 19)]
    assert sides[0] == (400, 400, 3) and sides[1][0] == sides[1][1] > 900

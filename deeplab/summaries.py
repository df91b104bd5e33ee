"""Pictures and scalars for TensorBoard."""

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from deeplab.compat import tf

VOID_COLOUR = (255, 255, 255)


def palette_table(palette: Sequence[Sequence[int]]) -> np.ndarray:
    """[256,3] uint8: the colour of every label id; ids that are no class are void, and white."""
    table = np.full((256, 3), VOID_COLOUR, np.uint8)
    table[:len(palette)] = palette
    return table


def triptych(images: tf.Tensor, labels: tf.Tensor, predictions: tf.Tensor,
             palette: Sequence[Sequence[int]]) -> tf.Tensor:
    """image | truth | prediction side by side: [N,H,W,3], [N,H,W], [N,H,W] -> uint8 [N,H,3W,3]."""
    table = tf.constant(palette_table(palette))
    # Whatever value a dataset ignores, it is void and shows white: 255 is no class anywhere.
    ids = [tf.where((x >= 0) & (x < len(palette)), x, tf.fill(tf.shape(x), 255)) for x in (labels, predictions)]
    return tf.concat([tf.saturate_cast(images, tf.uint8), *(tf.gather(table, x) for x in ids)], axis=2)


def image_summary(tag: str, picture: np.ndarray) -> tf.Summary:
    """A uint8 picture [H,W,3] as a summary that a FileWriter takes."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, 'png')
    height, width = picture.shape[:2]
    image = tf.Summary.Image(encoded_image_string=buffer.getvalue(), height=height, width=width, colorspace=3)
    return tf.Summary(value=[tf.Summary.Value(tag=tag, image=image)])


def confusion_picture(matrix: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """The confusion matrix [C,C] (rows truth, normalised per row) as a picture, uint8 [H,W,3]."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count = len(class_names)
    side = max(4.0, 0.42 * count + 2.2)
    figure = Figure(figsize=(side, side), dpi=100, layout='constrained')
    axes = figure.add_subplot()
    axes.imshow(share, cmap='Blues', vmin=0, vmax=1)
    axes.set_xticks(range(count), class_names, rotation=90)
    axes.set_yticks(range(count), class_names)
    axes.set_xlabel('prediction')
    axes.set_ylabel('truth')
    for row, column in np.argwhere(share >= 0.01):
        axes.text(column, row, f'{100 * share[row, column]:.0f}', ha='center', va='center', fontsize=7,
                  color='white' if share[row, column] > 0.5 else 'black')
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3]

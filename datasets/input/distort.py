"""Distortions beyond scale, crop and flip: aspect, rotation, blur and colour. Off unless a recipe asks for them.

Images are float32 [height, width, 3] in 0..255, labels int32 [height, width]; a chance is uniform in [0, 1).
"""

import math

import tensorflow as tf

# Of pairs of scales; at range and limit of dongzhuoyao/tensorpack (branch deeplab) one in 2,000 examples finds none.
TRIES = 16


def scales(low: float, high: float, max_aspect_change: float, chances: tf.Tensor) -> tf.Tensor:
    """[of heights, of widths], uniform where one is at most 1 + max_aspect_change times the other; chances [TRIES, 2].

    The first fitting pair is taken; where none fits, the first one's height for both.
    """
    pairs = low + (high - low) * chances
    ratios = tf.reduce_max(pairs, axis=1) / tf.reduce_min(pairs, axis=1)
    fits = ratios <= 1 + max_aspect_change
    first = tf.argmax(tf.cast(fits, tf.int32))  # the first of the largest
    return tf.where(tf.reduce_any(fits), pairs[first], tf.repeat(pairs[0, :1], 2))


def rotate(image: tf.Tensor, label: tf.Tensor, max_degrees: float, chance: tf.Tensor,
           pad_value: tuple[float, float, float], ignore_label: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Turns both about the centre by -max_degrees .. max_degrees; what comes into view is padding and ignored."""
    angle = (2 * chance - 1) * math.radians(max_degrees)
    height, width = tf.unstack((tf.cast(tf.shape(label), tf.float32) - 1) / 2)
    cos, sin = tf.cos(angle), tf.sin(angle)
    # Of an output pixel's (x, y), where it comes from.
    transform = tf.stack([cos, -sin, width - cos * width + sin * height,
                          sin, cos, height - sin * width - cos * height, 0.0, 0.0])[None]
    value = tf.constant(pad_value, tf.float32)  # subtracted: the operation fills with one number, not one a channel
    turned = _transform(image[None] - value, transform, 'BILINEAR', 0.0)[0] + value
    return turned, _transform(label[None, ..., None], transform, 'NEAREST', ignore_label)[0, ..., 0]


def _transform(images: tf.Tensor, transform: tf.Tensor, interpolation: str, fill_value: float) -> tf.Tensor:
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images, transforms=transform, output_shape=tf.shape(images)[1:3], fill_value=float(fill_value),
        interpolation=interpolation, fill_mode='CONSTANT')


def blur(image: tf.Tensor, max_sigma: float, chance: tf.Tensor) -> tf.Tensor:
    """Gaussian blur with a sigma of 0 .. max_sigma pixels, the border repeated."""
    radius = math.ceil(3 * max_sigma)
    positions = tf.range(-radius, radius + 1, dtype=tf.float32)
    weights = tf.nn.softmax(-positions ** 2 / (2 * tf.maximum(max_sigma * chance, 1e-3) ** 2))
    rows, columns = (tf.clip_by_value(tf.range(-radius, side + radius), 0, side - 1)
                     for side in tf.unstack(tf.shape(image)[:2]))
    padded = tf.gather(tf.gather(image, rows), columns, axis=1)[None]
    kernel = tf.tile(weights[:, None, None, None], [1, 1, 3, 1])
    down = tf.nn.depthwise_conv2d(padded, kernel, [1, 1, 1, 1], 'VALID')
    return tf.nn.depthwise_conv2d(down, tf.transpose(kernel, [1, 0, 2, 3]), [1, 1, 1, 1], 'VALID')[0]


def recolor(image: tf.Tensor, brightness: float, contrast: float, saturation: float, chances: tf.Tensor) -> tf.Tensor:
    """Jitters each by up to its share, in this order: 255 is added to, distances from the mean and from grey scaled."""
    added, spread, colour = tf.unstack(2 * chances - 1)
    image += 255 * brightness * added
    mean = tf.reduce_mean(image)
    image = mean + (image - mean) * (1 + contrast * spread)
    grey = tf.reduce_mean(image, axis=2, keepdims=True)
    image = grey + (image - grey) * (1 + saturation * colour)
    return tf.clip_by_value(image, 0.0, 255.0)

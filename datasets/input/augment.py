"""Training augmentation in the graph, in the order of the official DeepLab pipeline.

Resize to a range, random scale, pad below and right, random crop, flip. Everything random comes from (seed, number),
so an example is augmented the same way whatever ran before it. Images are [height, width, 3] in 0..255, labels
[height, width], both uint8 as they were decoded, or float32 and int32; the results are float32 and int32. Labels stay
small to the end, because moving them is the cost.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from datasets.input import distort


@dataclass(frozen=True)
class Augmentation:
    """`scale_step` 0 draws scales uniformly, else from the grid min_scale, min_scale + step, ... `max_scale`.

    `min_resize`, `max_resize` bound the shorter and longer side before that (0 = no resize); `resize_factor` f rounds
    sides up to k f + 1 (0 = off). Sizes are pixels; `pad_value` is the RGB that the backbone sees as nothing.

    `max_aspect_change` above 0 draws the scales of height and width apart, uniformly; `rotation` is in degrees to
    either side, `blur` the largest sigma in pixels, `brightness`, `contrast` and `saturation` are shares: 0 is off.
    `pad_center` pads on all sides instead of below and right.
    """

    crop_size: tuple[int, int]
    min_scale: float = 1.0
    max_scale: float = 1.0
    scale_step: float = 0.0
    flip: bool = True
    pad_value: tuple[float, float, float] = (127.5, 127.5, 127.5)
    min_resize: int = 0
    max_resize: int = 0
    resize_factor: int = 0
    max_aspect_change: float = 0.0
    rotation: float = 0.0
    blur: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    pad_center: bool = False

    def __post_init__(self) -> None:
        if min(self.crop_size) < 1:
            raise ValueError(f'crop_size is {self.crop_size}: give a height and a width above 0')
        if not 0 < self.min_scale <= self.max_scale:
            raise ValueError(f'scales {self.min_scale} .. {self.max_scale}: give 0 < min_scale <= max_scale')
        if self.scale_step < 0:
            raise ValueError(f'scale_step is {self.scale_step}: give 0 for uniform scales or a step above 0')
        if self.max_aspect_change and self.scale_step:
            raise ValueError(f'max_aspect_change {self.max_aspect_change} draws scales uniformly: give scale_step 0, '
                             f'not {self.scale_step}')
        for name in ('max_aspect_change', 'rotation', 'blur', 'brightness', 'contrast', 'saturation'):
            if getattr(self, name) < 0:
                raise ValueError(f'{name} is {getattr(self, name)}: give 0 for none of it, or more')
        if (self.max_resize or self.resize_factor) and not self.min_resize:
            raise ValueError('max_resize and resize_factor need min_resize, the least length of the shorter side')


def augment(image: tf.Tensor, label: tf.Tensor, augmentation: Augmentation, ignore_label: int, seed: int,
            number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """A crop of `crop_size` of the example with that number, scaled, padded and flipped by chance."""
    chance = tf.random.stateless_uniform([4], tf.stack([tf.constant(seed, tf.int64), number]))
    if augmentation.min_resize:
        size = resized_to_range(tf.shape(label), augmentation.min_resize, augmentation.max_resize,
                                augmentation.resize_factor)
        image, label = resize(image, label, size)
    seeds = tf.stack([tf.constant(seed, tf.int64), number])
    image, label = resize(image, label, scaled(tf.shape(label), _scale(augmentation, chance[0], seeds)))
    more = tf.random.stateless_uniform([5], tf.random.experimental.stateless_fold_in(seeds, 1))
    if augmentation.rotation:
        image, label = distort.rotate(image, label, augmentation.rotation, more[0], augmentation.pad_value,
                                      ignore_label)
    image, label = crop(image, label, augmentation.crop_size, chance[1:3])
    image = _distorted(image, augmentation, more[1:])
    image, label = pad(image, label, augmentation, ignore_label)
    if augmentation.flip:
        image, label = tf.cond(chance[3] < 0.5, lambda: mirrored(image, label), lambda: (image, label))
    return image, tf.cast(label, tf.int32)


def _scale(augmentation: Augmentation, chance: tf.Tensor, seeds: tf.Tensor) -> tf.Tensor:
    """One scale, or one of heights and one of widths."""
    if not augmentation.max_aspect_change:
        return random_scale(augmentation, chance)
    chances = tf.random.stateless_uniform([distort.TRIES, 2], tf.random.experimental.stateless_fold_in(seeds, 2))
    return distort.scales(augmentation.min_scale, augmentation.max_scale, augmentation.max_aspect_change, chances)


def _distorted(image: tf.Tensor, augmentation: Augmentation, chances: tf.Tensor) -> tf.Tensor:
    """Blurred and recoloured, where that is asked for."""
    if augmentation.blur:
        image = distort.blur(image, augmentation.blur, chances[0])
    if augmentation.brightness or augmentation.contrast or augmentation.saturation:
        image = distort.recolor(image, augmentation.brightness, augmentation.contrast, augmentation.saturation,
                                chances[1:])
    return image


def mirrored(image: tf.Tensor, label: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Left and right exchanged; tf.reverse is ten times as fast as a slice with step -1."""
    return tf.reverse(image, [1]), tf.reverse(label, [1])


def resize(image: tf.Tensor, label: tf.Tensor, size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Bilinear for the image, which gets float32, and nearest for the label, both with corners aligned."""
    image = tf.raw_ops.ResizeBilinear(images=image[None], size=size, align_corners=True)[0]
    label = tf.raw_ops.ResizeNearestNeighbor(images=label[None, ..., None], size=size, align_corners=True)[0, ..., 0]
    return image, label


def resized_to_range(size: tf.Tensor, min_resize: int, max_resize: int = 0, resize_factor: int = 0) -> tf.Tensor:
    """The [height, width] that brings the shorter side to min_resize, or else the longer one to max_resize (0 = off).

    In float32 and floored, as the official pipeline computes it; `resize_factor` as in `Augmentation`.
    """
    factor, longest = resize_factor, max_resize
    sides = tf.cast(size, tf.float32)
    new = tf.cast(tf.floor(sides * (min_resize / tf.reduce_min(sides))), tf.int32)
    if longest:
        if factor:
            longest -= (longest - 1) % factor
        shrunk = tf.cast(tf.floor(sides * (longest / tf.reduce_max(sides))), tf.int32)
        new = tf.where(tf.reduce_max(new) > longest, shrunk, new)
    return new + (factor - (new - 1) % factor) % factor if factor else new


def random_scale(augmentation: Augmentation, chance: tf.Tensor) -> tf.Tensor:
    """A scale for a chance that is uniform in [0, 1)."""
    low, high, step = augmentation.min_scale, augmentation.max_scale, augmentation.scale_step
    if step == 0:
        return low + (high - low) * chance
    grid = np.linspace(low, high, int((high - low) / step + 1), dtype=np.float32)
    return tf.gather(grid, tf.cast(chance * len(grid), tf.int32))


def scaled(size: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """[height, width] times scale, truncated."""
    return tf.cast(tf.cast(size, tf.float32) * scale, tf.int32)


def crop(image: tf.Tensor, label: tf.Tensor, crop_size: tuple[int, int], chance: tf.Tensor
         ) -> tuple[tf.Tensor, tf.Tensor]:
    """The window whose corner is at `chance` (two values in [0, 1)) of where it can be; smaller sides stay as they are.

    Cropping before padding gives what the official pipeline's padding before cropping gives, for less work.
    """
    room = tf.cast(tf.maximum(tf.shape(label) - crop_size, 0) + 1, tf.float32)
    top, left = tf.unstack(tf.cast(chance * room, tf.int32))
    height, width = crop_size
    return image[top:top + height, left:left + width], label[top:top + height, left:left + width]


def pad(image: tf.Tensor, label: tf.Tensor, augmentation: Augmentation, ignore_label: int
        ) -> tuple[tf.Tensor, tf.Tensor]:
    """Fills up to the crop size with the pad value and the ignore label: below and right, or on all sides."""
    height, width = augmentation.crop_size
    missing = augmentation.crop_size - tf.shape(label)
    above, left = tf.unstack(missing // 2 if augmentation.pad_center else tf.zeros_like(missing))
    below, right = tf.unstack(missing - tf.stack([above, left]))
    sides = [[above, below], [left, right]]
    # Padding with zeros around the pad value: tf.pad takes one constant, not one a channel. A row of it, because
    # TensorFlow adds three numbers to every pixel half as fast.
    value = tf.constant(np.tile(np.asarray(augmentation.pad_value, np.float32), (width, 1)))
    image -= value[:tf.shape(image)[1]]
    image, label = tf.cond(  # padding by nothing would copy
        tf.reduce_any(missing > 0),
        lambda: (tf.pad(image, [*sides, [0, 0]]), tf.pad(label, sides, constant_values=ignore_label)),
        lambda: (image, label))
    return tf.ensure_shape(image, [height, width, 3]) + value, tf.ensure_shape(label, [height, width])

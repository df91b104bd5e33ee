"""What a backbone is: one frozen record instead of parallel dictionaries."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from console.choices import choose
from deeplab.compat import slim, tf
from deeplab.layers.conv import batch_norm
from deeplab.layers.precision import as_features

Rgb: TypeAlias = tuple[float, float, float]


class Features(NamedTuple):
    """`output` at the output stride, and `taps`: {nominal stride: low-level features} for decoders."""

    output: tf.Tensor
    taps: Mapping[int, tf.Tensor]
    blocks: Sequence[tf.Tensor] = ()  # of each block its last output before its stride; empty: a family doesn't say
    fork: tf.Tensor | None = None  # what a cascade (ICNet) shares between its resolutions, before it was halved


@dataclass(frozen=True)
class Pixels:
    """Normalisation of 0..255 RGB: `(image - mean) * scale`, per channel."""

    mean: Rgb
    scale: float

    def normalize(self, images: tf.Tensor) -> tf.Tensor:
        """Channels beyond the third are taken as zero-mean."""
        extra = images.shape.as_list()[-1] - len(self.mean)
        return (images - tf.constant([*self.mean, *[0.0] * extra], images.dtype)) * self.scale


MID_GREY = (127.5, 127.5, 127.5)
UNIT_RANGE = Pixels(mean=MID_GREY, scale=2.0 / 255.0)  # [-1, 1]
MEAN_RGB = Pixels(mean=(123.15, 115.90, 103.06), scale=1.0)


@dataclass(frozen=True)
class BatchNorm:
    """Constants of a backbone's batch norm: decay of the moving averages, and epsilon."""

    decay: float
    epsilon: float


TESTED = {  # how far tests go with a backbone, from furthest to least
    'always': 'in seconds: at every commit, and with every net that takes it',
    'for_its_family': 'in the slow tests, with every net that takes it',
    'with_deeplab': 'in the slow tests, with the nets that weights were released with',
    'alone': 'in the slow tests, with hardly a net: more units of another one',
}


@dataclass(frozen=True)
class Backbone:
    """A backbone by name; `walk(images, output_stride, **options) -> Features` builds it from normalised images."""

    name: str
    walk: Callable[..., Features]
    scope: str  # of its variables in released checkpoints
    pixels: Pixels
    pad_value: Rgb  # what the input pipeline pads with, 0..255
    batch_norm: BatchNorm
    output_strides: tuple[int, ...]
    taps: tuple[int, ...] = (4, 8, 16)  # nominal strides that `Features.taps` has
    # Its released network goes on with fc6 and fc7, in its scope, which nets build as convolutions on `output`.
    fully_connected: bool = False
    # Its features are the pixels, at stride 1 whatever the output stride: for nets that are built from the image.
    pixels_only: bool = False
    # {output stride: options without which it isn't reached}
    needs: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    # Why, with the same weights, its features at an output stride aren't every other one of those at half of it; empty:
    # they are.
    changes_with_stride: str = ''
    tested: str = 'with_deeplab'  # one of TESTED
    options: Mapping[str, Any] = field(default_factory=dict)  # that `build` gives to `walk`

    def with_options(self, options: Mapping[str, Any]) -> 'Backbone':
        """The backbone with options bound, so that nets needn't hand them on."""
        return replace(self, options={**self.options, **options})

    @property
    def build(self) -> Callable[..., Features]:
        """`build(images, output_stride, **options)`: features of float images `[N, H, W, 3]` in 0..255.

        The keyword-only arguments of its signature are the options; they replace bound ones. ValueError for an output
        stride it doesn't have.
        """
        @functools.wraps(self.walk)
        def build(images: tf.Tensor, output_stride: int, **options: Any) -> Features:
            choose(f'output stride of {self.name}', output_stride, self.output_strides)
            with slim.arg_scope([batch_norm], decay=self.batch_norm.decay, epsilon=self.batch_norm.epsilon):
                pixels = as_features(self.pixels.normalize(images))
                return self.walk(pixels, output_stride, **{**self.options, **options})

        build.__name__ = self.name
        return build

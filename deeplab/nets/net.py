"""What a net is: a function, and what it asks of backbone and image size."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Outputs(NamedTuple):
    """`logits` float32 `[N, h, w, C]` at logit resolution; `aux`: {name: (logits, loss weight)}, in training only.

    `weight` is the loss weight of `logits`.
    """

    logits: Any
    aux: Mapping[str, Any]
    weight: float = 1.0


@dataclass(frozen=True)
class Net:
    """`build(images, num_classes, backbone, *, training, output_stride, **options) -> Outputs`.

    The keyword-only arguments of `build` are the schema of the net's options; its name is the net's.
    """

    build: Callable[..., Outputs]
    taps: tuple[int, ...] = ()  # nominal strides of the backbone's taps that it reads
    output_strides: tuple[int, ...] = ()  # those it has; empty: the backbone's
    backbone_options: tuple[str, ...] = ()  # that it sets itself; backbones without them don't go with it
    needs_backbone: bool = True  # otherwise the backbone is 'none': normalised pixels
    # Images are padded to sides that are multiples of this before they are predicted; 0: of k * output_stride + 1,
    # where aligned corners make feature cells and pixels coincide. Nets that unpool or transpose halve even sides.
    multiple: int = 0

    @property
    def name(self) -> str:
        return self.build.__name__

    def __call__(self, *args: Any, **options: Any) -> Outputs:
        return self.build(*args, **options)

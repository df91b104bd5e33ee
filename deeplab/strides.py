"""Which layers keep their stride, and which trade it for dilation, to reach an output stride."""

from collections.abc import Iterable


def plan(strides: Iterable[int], output_stride: int) -> list[tuple[int, int]]:
    """(stride, rate) of each layer so that the accumulated stride ends at `output_stride`.

    Once it is reached, a strided layer gets stride 1 and the rate reached so far, and multiplies the rate of the layers
    after it (DeepLabv3, section 3.1). ValueError when the strides step over `output_stride` or end below it.
    """
    strides = list(strides)
    current, rate, layers = 1, 1, []
    for stride in strides:
        if current == output_stride:
            layers.append((1, rate))
            rate *= stride
        else:
            layers.append((stride, 1))
            current *= stride
            if current > output_stride:
                break
    if current != output_stride:
        raise ValueError(f'output stride {output_stride} cannot be reached with the strides {strides}')
    return layers

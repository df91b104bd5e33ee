"""DeepLabv3+ at output stride 16 as tables of layers, for a peer that has no such net: see `torch_nets`.

The nets are those of deeplab/nets/deeplabv3plus.py with its options' defaults, layer by layer.
"""

from dataclasses import dataclass, field

from deeplab.strides import plan

OUTPUT_STRIDE = 16
RATES = (6, 12, 18)
FILTERS = 256
LOW_LEVEL = 48


@dataclass(frozen=True)
class Conv:
    """A convolution with batch norm; `before` and `after` name activations."""

    inputs: int
    outputs: int
    kernel: int = 1
    stride: int = 1
    rate: int = 1
    groups: int = 1
    before: str = ''
    after: str = ''

    @property
    def parameters(self) -> int:
        """With gamma, beta and the moving statistics."""
        return self.kernel ** 2 * self.inputs // self.groups * self.outputs + 4 * self.outputs


@dataclass(frozen=True)
class Unit:
    """Convolutions in turn, to whose output the input is added, as it is or through the convolution `shortcut`.

    `tap` is the place of the convolution whose output the decoder reads; `stride` is that of an identity.
    """

    convs: tuple[Conv, ...]
    shortcut: Conv | None = None
    residual: bool = False
    stride: int = 1
    after: str = ''
    pool: bool = False  # 3x3 maxima at stride 2 behind it
    tap: int | None = None


@dataclass(frozen=True)
class Net:
    """A backbone; head and decoder follow from its channels."""

    units: tuple[Unit, ...]
    classes: int = 21
    branches: tuple[tuple[Conv, ...], ...] = field(init=False)  # of ASPP, the one of image pooling first
    projection: Conv = field(init=False)
    low_level: Conv = field(init=False)
    decoder: tuple[Conv, ...] = field(init=False)

    def __post_init__(self) -> None:
        channels = self.units[-1].convs[-1].outputs
        tap = next(unit.convs[unit.tap].outputs for unit in self.units if unit.tap is not None)
        one = Conv(channels, FILTERS, after='relu')
        made = {'branches': ((one,), (one,), *(separable(channels, FILTERS, rate=rate) for rate in RATES)),
                'projection': Conv(FILTERS * (2 + len(RATES)), FILTERS, after='relu'),
                'low_level': Conv(tap, LOW_LEVEL, after='relu'),
                'decoder': (*separable(FILTERS + LOW_LEVEL, FILTERS), *separable(FILTERS, FILTERS))}
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @property
    def parameters(self) -> int:
        convs = [conv for unit in self.units for conv in (*unit.convs, *filter(None, [unit.shortcut]))]
        convs += [conv for branch in self.branches for conv in branch]
        convs += [self.projection, self.low_level, *self.decoder]
        return sum(conv.parameters for conv in convs) + (FILTERS + 1) * self.classes


def separable(inputs: int, outputs: int, stride: int = 1, rate: int = 1, before: str = '', after: str = 'relu',
              ) -> tuple[Conv, Conv]:
    """Depthwise 3x3 and pointwise convolution, with `after` behind each."""
    return (Conv(inputs, inputs, 3, stride, rate, inputs, before, after), Conv(inputs, outputs, after=after))


def mobilenet_v2() -> Net:
    """Sandler et al. (2018), table 2, without its last convolution."""
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    blocks = [(expansion, filters, stride if i == 0 else 1) for expansion, filters, count, stride in rows
              for i in range(count)]
    (first, _), *planned = plan([2, *(stride for *_, stride in blocks)], OUTPUT_STRIDE)
    units, channels = [Unit((Conv(3, 32, 3, first, after='relu6'),))], 32
    for (expansion, filters, nominal), (stride, rate) in zip(blocks, planned, strict=True):
        wide = channels * expansion
        expand = [Conv(channels, wide, after='relu6')] * (expansion > 1)
        depthwise = Conv(wide, wide, 3, stride, rate, wide, after='relu6')
        tapped = nominal == 1 and filters == 24
        units.append(Unit((*expand, depthwise, Conv(wide, filters)), residual=stride == 1 and channels == filters,
                          tap=1 if tapped else None))
        channels = filters
    return Net(tuple(units))


def resnet_v1_50_beta() -> Net:
    """He et al. (2016), table 1, with three 3x3 convolutions for the 7x7; the last unit of a block has its stride."""
    blocks = ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1))
    strides = [stride if i == count - 1 else 1 for _, count, stride in blocks for i in range(count)]
    planned = iter(plan([4, *strides], OUTPUT_STRIDE)[1:])
    root = (Conv(3, 64, 3, 2, after='relu'), Conv(64, 64, 3, after='relu'), Conv(64, 128, 3, after='relu'))
    units, channels = [Unit(root, pool=True)], 128
    for block, (width, count, _) in enumerate(blocks):
        for i in range(count):
            stride, rate = next(planned)
            convs = (Conv(channels, width, after='relu'), Conv(width, width, 3, stride, rate, after='relu'),
                     Conv(width, 4 * width))
            shortcut = Conv(channels, 4 * width, stride=stride) if channels != 4 * width else None
            units.append(Unit(convs, shortcut, True, stride, 'relu', tap=2 if (block, i) == (0, count - 2) else None))
            channels = 4 * width
    return Net(tuple(units))


def xception_65() -> Net:
    """Chen et al. (2018, arXiv:1802.02611), figure 4."""
    flows = [((128,) * 3, 2, 'conv'), ((256,) * 3, 2, 'conv'), ((728,) * 3, 2, 'conv'), *[((728,) * 3, 1, 'sum')] * 16,
             ((728, 1024, 1024), 2, 'conv'), ((1536, 1536, 2048), 1, '')]
    (first, _), _, *planned = plan([2, 1, *(stride for _, stride, _ in flows)], OUTPUT_STRIDE)
    units = [Unit((Conv(3, 32, 3, first, after='relu'), Conv(32, 64, 3, after='relu')))]
    channels = 64
    for i, ((depths, _, kind), (stride, rate)) in enumerate(zip(flows, planned, strict=True)):
        activations = {'before': 'relu', 'after': ''} if kind else {'after': 'relu'}
        convs = [conv for j, (inputs, outputs) in enumerate(zip((channels, *depths), depths, strict=False))
                 for conv in separable(inputs, outputs, stride if j == 2 else 1, rate, **activations)]
        shortcut = Conv(channels, depths[-1], stride=stride) if kind == 'conv' else None
        units.append(Unit(tuple(convs), shortcut, bool(kind), tap=3 if i == 1 else None))
        channels = depths[-1]
    return Net(tuple(units))


NETS = {function.__name__: function for function in (mobilenet_v2, resnet_v1_50_beta, xception_65)}

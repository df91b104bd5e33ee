"""The nets of `layers` in PyTorch, run by the interpreter of PEERS_PYTHON."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.contenders import pictures
from benchmarks.contenders.layers import NETS, Conv, Net, Unit
from benchmarks.contenders.worker import Contender, repeat, serve

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {'': lambda x: x, 'relu': functional.relu, 'relu6': functional.relu6}


def training() -> None:
    serve(_training)


def forward() -> None:
    serve(_forward)


class ConvOf(nn.Module):
    def __init__(self, conv: Conv):
        super().__init__()
        self.before, self.after = ACTIVATIONS[conv.before], ACTIVATIONS[conv.after]
        self.conv = nn.Conv2d(conv.inputs, conv.outputs, conv.kernel, conv.stride, conv.kernel // 2 * conv.rate,
                              conv.rate, conv.groups, bias=False)
        self.norm = nn.BatchNorm2d(conv.outputs)

    def forward(self, x: Any) -> Any:
        return self.after(self.norm(self.conv(self.before(x))))


class UnitOf(nn.Module):
    def __init__(self, unit: Unit):
        super().__init__()
        self.unit = unit
        self.convs = nn.ModuleList(map(ConvOf, unit.convs))
        self.shortcut = ConvOf(unit.shortcut) if unit.shortcut else None

    def forward(self, x: Any) -> Any:
        """(output, what the decoder reads or None)."""
        net, tap = x, None
        for i, conv in enumerate(self.convs):
            net = conv(net)
            if i == self.unit.tap:
                tap = net
        if self.unit.residual:
            net = net + (self.shortcut(x) if self.shortcut else x[:, :, ::self.unit.stride, ::self.unit.stride])
        net = ACTIVATIONS[self.unit.after](net)
        return functional.max_pool2d(net, 3, 2, 1) if self.unit.pool else net, tap


class DeepLab(nn.Module):
    """DeepLabv3+; images in 0..255 to logits of their size."""

    def __init__(self, net: Net):
        super().__init__()
        self.units = nn.ModuleList(map(UnitOf, net.units))
        self.branches = nn.ModuleList(nn.Sequential(*map(ConvOf, branch)) for branch in net.branches)
        self.projection, self.low_level = ConvOf(net.projection), ConvOf(net.low_level)
        self.dropout = nn.Dropout(0.1)
        self.decoder = nn.Sequential(*map(ConvOf, net.decoder))
        self.logits = nn.Conv2d(net.decoder[-1].outputs, net.classes, 1)

    def forward(self, images: Any) -> Any:
        net: Any = images * (2 / 255) - 1
        low_level: Any = None
        for unit in self.units:
            net, tap = unit(net)
            low_level = tap if tap is not None else low_level
        pooled = self.branches[0](net.mean((2, 3), keepdim=True)).expand(-1, -1, *net.shape[2:])
        net = torch.cat([pooled, *(branch(net) for branch in self.branches[1:])], 1)
        net = self.dropout(self.projection(net))
        net = self.decoder(torch.cat([_resized(net, low_level.shape[2:]), self.low_level(low_level)], 1))
        return _resized(self.logits(net).float(), images.shape[2:])


def _resized(x: Any, size: Any) -> Any:
    return functional.interpolate(x, size=tuple(size), mode='bilinear', align_corners=True)


def _training(folder: str, backbone: str, side: int, batch: int, precision: str, **_: Any) -> Contender:
    images, labels = pictures.batch(folder, batch, side)
    model = _model(backbone).train()
    fed, truth = _channels_last(images), torch.from_numpy(labels).long()
    decayed = [parameter for parameter in model.parameters() if parameter.ndim == 4]
    others = [parameter for parameter in model.parameters() if parameter.ndim != 4]
    optimizer = torch.optim.SGD([{'params': decayed, 'weight_decay': 4e-5}, {'params': others}], lr=0.007, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _precision(precision):
            logits = model(fed)
        functional.cross_entropy(logits, truth, ignore_index=pictures.IGNORE).backward()
        optimizer.step()

    return Contender(repeat(step), _facts(model))


def _forward(folder: str, backbone: str, side: int, precision: str, **_: Any) -> Contender:
    model, fed = _model(backbone).eval(), _channels_last(pictures.batch(folder, 1, side)[0])

    def step() -> None:
        with torch.inference_mode(), _precision(precision):
            model(fed).argmax(1)

    return Contender(repeat(step), _facts(model))


def _model(backbone: str) -> Any:
    return DeepLab(NETS[backbone]()).to(memory_format=torch.channels_last)


def _channels_last(images: Any) -> Any:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _precision(name: str) -> Any:
    return torch.autocast('cpu', torch.bfloat16, enabled=name == 'bfloat16')


def _facts(model: Any) -> dict[str, Any]:
    counted = [*model.parameters(), *(each for each in model.buffers() if each.ndim)]  # without the count of batches
    return {'parameters': sum(each.numel() for each in counted),
            'versions': {'torch': torch.__version__}}

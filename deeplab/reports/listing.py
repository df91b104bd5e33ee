"""What there is, as tables: nets, backbones, datasets and recipes. Builds no graph."""

import inspect
import sys
from collections.abc import Callable, Iterable, Sequence

from datasets import row as rows
from deeplab.backbones import BACKBONES
from deeplab.nets import NETS
from deeplab.recipes import recipe as recipes


def tables() -> str:
    """All four tables, as text."""
    return '\n\n'.join((
        _table('nets', ('model.net', 'what', 'backbone taps', 'output strides'), _nets()),
        _table('backbones', ('model.backbone', 'scope of its weights', 'taps', 'output strides'), _backbones()),
        _table('datasets', ('data.dataset', 'what', 'classes', 'ignored', 'splits'), _datasets()),
        _table('recipes', ('--recipe', 'net', 'backbone', 'dataset', 'status', 'expected mIoU', 'what'), _recipes())))


def _nets() -> Iterable[Sequence[str]]:
    for name, net in NETS.items():
        yield (name, _paper(net.build), _numbers(net.taps) if net.needs_backbone else 'none needed',
               _numbers(net.output_strides) or "the backbone's")


def _paper(build: Callable[..., object]) -> str:
    """The first line of the net's module, which names the paper."""
    return (inspect.getdoc(sys.modules[build.__module__]) or '').partition('\n')[0].rstrip('.')


def _backbones() -> Iterable[Sequence[str]]:
    for name, backbone in BACKBONES.items():
        yield name, backbone.scope or '-', _numbers(backbone.taps), _numbers(backbone.output_strides)


def _datasets() -> Iterable[Sequence[str]]:
    for name in rows.names():
        dataset = rows.load(name)
        splits = ', '.join(f'{split} {entry.num_images}' for split, entry in dataset.splits.items())
        yield name, dataset.title, str(dataset.num_classes), str(dataset.ignore_label), splits


def _recipes() -> Iterable[Sequence[str]]:
    for name, row in recipes.table().items():
        expected = '' if row.expected.mean_iou is None else f'{row.expected.mean_iou:g}'
        yield (name, row.model.net, row.model.backbone, row.data.dataset, row.status,
               expected + '?' * bool(expected and not row.expected.verified), row.title)


def _numbers(values: Iterable[int]) -> str:
    return ' '.join(map(str, values))


def _table(title: str, header: Sequence[str], entries: Iterable[Sequence[str]]) -> str:
    entries = [header, *entries]
    widths = [max(len(row[column]) for row in entries) for column in range(len(header))]
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in entries]
    return '\n'.join([f'{len(entries) - 1} {title}', *lines])

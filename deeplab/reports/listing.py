"""What there is: nets, backbones, datasets and recipes as tables, or what one of them is. Builds no graph."""

import inspect
import sys
import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from console.choices import choose
from datasets import row as rows
from datasets.row import Dataset
from deeplab import options
from deeplab.backbones import BACKBONES, Backbone
from deeplab.nets import NETS, Net
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports import status
from deeplab.reports.results import shipped

WIDTH = 120  # of lines that are wrapped


class Kind(NamedTuple):
    """A kind of things with names: the header and the lines of their table, and what each is at length."""

    header: Sequence[str]
    lines: Callable[[], Iterable[Sequence[str]]]
    names: Callable[[], Collection[str]]
    detail: Callable[[str], Iterable[str]]
    options: Callable[[], Iterable[str]] = tuple  # of all, behind the table when it is asked for by itself


def show(word: str = '') -> str:
    """All four tables; the table of a kind, such as 'nets', with all options; or what has that name.

    ValueError with the nearest names where nothing has it.
    """
    if not word:
        return '\n\n'.join([*map(_table, KINDS), 'one of them with its options: --list NAME'])
    if word in KINDS:
        return '\n\n'.join([_table(word), *KINDS[word].options()])
    word = recipes.current_name(word)
    found = ['\n'.join(kind.detail(word)) for kind in KINDS.values() if word in kind.names()]
    if not found:
        choose('--list', word, [*KINDS, *(name for kind in KINDS.values() for name in kind.names())])
    return '\n\n'.join(found)


def _nets() -> Iterator[Sequence[str]]:
    for name, net in NETS.items():
        yield name, _paper(net.build), *_strides(net)


def _net(name: str) -> Iterator[str]:
    taps, strides = _strides(NETS[name])
    yield f'net {name}: {_paper(NETS[name].build)}'
    yield from _facts({'backbone taps': taps, 'output strides': strides})
    yield from _options('model.options', NETS[name])


def _strides(net: Net) -> tuple[str, str]:
    return _numbers(net.taps) if net.needs_backbone else 'none needed', _numbers(net.output_strides) or "the backbone's"


def _backbones() -> Iterator[Sequence[str]]:
    for name, backbone in BACKBONES.items():
        yield name, backbone.scope or '-', _numbers(backbone.taps), _numbers(backbone.output_strides)


def _backbone(name: str) -> Iterator[str]:
    backbone = BACKBONES[name]
    yield f'backbone {name}: {_paper(backbone.build)}'
    yield from _facts({'scope of its weights': backbone.scope, 'taps': _numbers(backbone.taps),
                       'output strides': _numbers(backbone.output_strides)})
    yield from _options('model.backbone_options', backbone)


def _paper(build: Callable[..., object]) -> str:
    """The first line of the module that a net or a backbone is in, which names the paper."""
    return (inspect.getdoc(sys.modules[options.written(build).__module__]) or '').partition('\n')[0].rstrip('.')


def _datasets() -> Iterator[Sequence[str]]:
    for name in rows.names():
        dataset = rows.load(name)
        yield name, dataset.title, str(dataset.num_classes), str(dataset.ignore_label), _splits(dataset)


def _dataset(name: str) -> Iterator[str]:
    dataset = rows.load(name)
    yield f'dataset {name}: {dataset.title}'
    yield from _facts({'from': dataset.url, 'licence': dataset.licence, 'splits': _splits(dataset),
                       'ignored label': str(dataset.ignore_label),
                       f'{dataset.num_classes} classes': ', '.join(dataset.class_names)})


def _splits(dataset: Dataset) -> str:
    return ', '.join(f'{split} {entry.num_images}' for split, entry in dataset.splits.items())


def _recipes() -> Iterator[Sequence[str]]:
    for name, row in recipes.table().items():
        yield (name, row.model.net, row.model.backbone, row.data.dataset, status.of(row, shipped()), _figure(row),
               row.title)


def _figure(row: Recipe) -> str:
    """The published mean IoU, with a question mark where nobody looked it up, or that of a reference run."""
    figure = status.figure(row, shipped())
    if not figure:
        return ''
    return f'{figure.mean_iou:.4g}' + ('?' * (not row.expected.verified) if figure.published else ' (reference)')


def _recipe(name: str) -> Iterator[str]:
    """The fields in which it isn't the default."""
    row, default = recipes.load(name), Recipe()
    yield f'recipe {name}: {row.title}'
    yield from _facts({path: _value(recipes.get(row, path)) for path in recipes.fields()
                       if path not in ('name', 'title') and recipes.get(row, path) != recipes.get(default, path)})


def _options(field: str, part: Net | Backbone) -> list[str]:
    """A heading, and a line of each option with its default and its meaning."""
    defaults, meanings = options.signature(part.build), options.meanings(part.build)
    lines = [(f'    {name}', _value(default), meanings[name]) for name, default in defaults.items()]
    return [f'  --{field}.NAME VALUE, by name, default and meaning:', *_columns(lines)] if lines else ['  no options']


def _options_of_all(field: str, table: Mapping[str, Net | Backbone]) -> list[str]:
    """Of every part of a table; those that have the same options stand together."""
    together: dict[tuple[str, ...], list[str]] = {}
    for name, part in table.items():
        together.setdefault(tuple(_options(field, part)), []).append(name)
    return ['\n'.join([textwrap.fill(', '.join(names), WIDTH), *lines]) for lines, names in together.items()]


def _value(value: Any) -> str:
    """As a command line has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _facts(facts: Mapping[str, str]) -> list[str]:
    return _columns([(f'  {name}', value) for name, value in facts.items() if value])


def _columns(lines: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns, the last of which is wrapped."""
    widths = [max(map(len, column)) + 2 for column in list(zip(*lines, strict=True))[:-1]]
    wrapper = textwrap.TextWrapper(WIDTH, subsequent_indent=' ' * sum(widths), break_long_words=False)
    found = []
    for *cells, last in lines:
        wrapper.initial_indent = ''.join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        found.append(wrapper.fill(last))
    return found


def _numbers(values: Iterable[int]) -> str:
    return ' '.join(map(str, values))


def _table(title: str) -> str:
    kind = KINDS[title]
    entries = [kind.header, *kind.lines()]
    widths = [max(len(row[column]) for row in entries) for column in range(len(kind.header))]
    lines = ['  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in entries]
    return '\n'.join([f'{len(entries) - 1} {title}', *lines])


KINDS = {
    'nets': Kind(('model.net', 'what', 'backbone taps', 'output strides'), _nets, lambda: NETS, _net,
                 lambda: _options_of_all('model.options', NETS)),
    'backbones': Kind(('model.backbone', 'scope of its weights', 'taps', 'output strides'), _backbones,
                      lambda: BACKBONES, _backbone, lambda: _options_of_all('model.backbone_options', BACKBONES)),
    'datasets': Kind(('data.dataset', 'what', 'classes', 'ignored', 'splits'), _datasets, rows.names, _dataset),
    'recipes': Kind(('--recipe', 'net', 'backbone', 'dataset', 'status', 'published mIoU', 'what'), _recipes,
                    recipes.table, _recipe),
}

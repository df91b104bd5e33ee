"""Writes what docs/architecture.md shows of the code: the map of its modules, and its pictures.

    python -m tools.architecture

The map is the first sentence of every module's docstring. The pictures are the rooms in the order of their imports, and
the ways of one image and of one training step.
"""

import ast
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

from console import checkout
from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole

ROOT = checkout.FOLDER
PAGE = ROOT / 'docs' / 'architecture.md'
PICTURES = ROOT / 'docs' / 'images'
BEGIN, END = '<!-- map -->\n', '<!-- /map -->\n'
PACKAGES = ('console', 'datasets', 'pretrained', 'deeplab', 'tools', 'benchmarks')

# The rooms from top to bottom: a module imports from its own line or from lower ones. The first entry that a name is,
# or begins with, is its place. tests/contracts/test_imports.py holds the code to it.
ORDER = (
    ('deeplab.entry_points', 'deeplab.mains'),
    ('train', 'evaluate', 'inference', 'export_model', 'semantic_segmentation', 'tools', 'benchmarks'),
    ('deeplab.trained',),
    ('deeplab.training',),
    ('deeplab.model_fn',),
    ('deeplab.predicting',),
    ('deeplab.command', 'deeplab.reports'),
    ('deeplab.run',),
    ('deeplab.nets',),
    ('deeplab.backbones',),
    ('deeplab.layers', 'deeplab.losses', 'deeplab.loss_scale', 'deeplab.optimizer', 'deeplab.metrics',
     'deeplab.summaries'),
    ('deeplab.kernels',),
    ('deeplab.recipes', 'deeplab.strides', 'deeplab.options', 'deeplab.watched'),
    ('pretrained',),
    ('datasets.convert', 'datasets.inspect', 'datasets.new', 'datasets.verify', 'datasets.synthetic', 'datasets.docs',
     'datasets.input_fn'),
    ('datasets.look', 'datasets.guess'),
    ('datasets.input',),
    ('datasets.records',),
    ('datasets.raw',),
    ('datasets.row',),
    ('console', 'deeplab.compat'),
)


class Box(NamedTuple):
    """A step of a way: where it happens, and what."""

    place: str  # a module, a file, or what goes from step to step
    what: str


# Each line of boxes is drawn from left to right.
IMAGE = (
    (Box('photo.jpg, mask.png', 'as published'), Box('datasets.raw.layouts', 'pairs by the row of the dataset'),
     Box('datasets.raw.labels', 'ids by what the file stores'), Box('datasets.records.shards', 'TFRecords, manifest')),
    (Box('datasets.input_fn', 'image 0..255, label ids'), Box('deeplab.predicting.predict', 'padding, scales, tiles'),
     Box('deeplab.predicting.forward', 'net on backbone: logits'), Box('deeplab.predicting.crf', 'where asked for')),
    (Box('deeplab.metrics', 'one confusion matrix'), Box('deeplab.trained.evaluation', 'over the whole split'),
     Box('deeplab.reports.measurement', 'result with its protocol'), Box('deeplab.reports.table', 'README, page')),
)
STEP = (
    (Box('(seed, step)', 'decides all that follows'), Box('datasets.input.index', 'which examples'),
     Box('datasets.input.augment', 'scale, crop, mirror'), Box('deeplab.model_fn', 'is it the batch of this step?')),
    (Box('deeplab.predicting.forward', 'logits, auxiliary ones'), Box('deeplab.losses', 'valid pixels, weights'),
     Box('deeplab.optimizer', 'gradients, multipliers'), Box('deeplab.layers.conv', 'moving averages')),
    (Box('deeplab.training.hooks', 'NaN? signal? console'), Box('checkpoint', 'whole, or not at all'),
     Box('deeplab.training.eval_hooks', 'an evaluation, now and then'),
     Box('deeplab.training.model_dir', 'the best is kept')),
)
COLOURS = {'console': '#e8e8e8', 'datasets': '#d7ead3', 'pretrained': '#fbe5c8', 'deeplab': '#d6e4f5'}
OTHER = '#ffffff'


def modules() -> dict[str, Path]:
    """{dotted name: file} of everything that isn't a test."""
    paths = [*ROOT.glob('*.py'), *(path for package in PACKAGES for path in (ROOT / package).rglob('*.py'))]
    return {'.'.join(path.relative_to(ROOT).with_suffix('').parts).removesuffix('.__init__'): path for path in paths}


def sentence(path: Path) -> str:
    """The first paragraph of a module's docstring, on one line, without the command that is named behind a colon."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding='utf8'))) or ''
    return ' '.join(text.partition('\n\n')[0].split()).partition(': `python -m')[0]


def the_map() -> str:
    """Every folder and module in a line, in Markdown; a folder's modules stand before the folders in it."""
    mains = ''.join(f'- `{path.name}` {sentence(path)}\n' for path in sorted(ROOT.glob('*.py')))
    return '\n'.join([mains, *(''.join(_folder(ROOT / package)) for package in PACKAGES)])


def _folder(folder: Path, depth: int = 0) -> Iterator[str]:
    yield f'{"  " * depth}- **{folder.relative_to(ROOT).as_posix()}/** {sentence(folder / "__init__.py")}\n'
    for path in sorted(folder.glob('*.py')):
        if path.name != '__init__.py':
            yield f'{"  " * depth}  - `{path.name}` {sentence(path)}\n'
    for inner in sorted(path.parent for path in folder.glob('*/__init__.py')):
        yield from _folder(inner, depth + 1)


def with_map(page: str) -> str:
    """The page with its map written anew."""
    before, _, rest = page.partition(BEGIN)
    _, found, after = rest.partition(END)
    if not found:
        raise ValueError(f'{PAGE} has no lines {BEGIN.strip()} and {END.strip()} to write the map between')
    return f'{before}{BEGIN}{the_map()}{END}{after}'


def draw_way(lines: tuple[tuple[Box, ...], ...], path: Path) -> None:
    """The boxes, line by line, with arrows from each to the next."""
    from matplotlib import pyplot
    width, height, gap_x, gap_y = 3.0, 0.8, 0.5, 0.55
    figure, axes = pyplot.subplots(figsize=(len(lines[0]) * (width + gap_x), len(lines) * (height + gap_y)))
    for row, boxes in enumerate(lines):
        for column, box in enumerate(boxes):
            left, bottom = column * (width + gap_x), -row * (height + gap_y)
            _box(axes, left, bottom, width, height, box)
            if column:
                _arrow(axes, (left - gap_x, bottom + height / 2), (left, bottom + height / 2))
        if row:  # from the end of the line above
            end = (len(lines[row - 1]) - 0.5) * (width + gap_x) - gap_x / 2
            _arrow(axes, (end, bottom + height + gap_y), (width / 2, bottom + height), linestyle='--')
    _save(figure, axes, path)


def draw_rooms(path: Path) -> None:
    """The lines of ORDER, from top to bottom."""
    from matplotlib import pyplot
    height, gap, total = 0.42, 0.12, 16.0
    figure, axes = pyplot.subplots(figsize=(total, len(ORDER) * (height + gap)))
    for row, rooms in enumerate(ORDER):
        width = total / len(rooms)
        for column, room in enumerate(rooms):
            _box(axes, column * width, -row * (height + gap), width - gap, height, Box(room, ''))
    _save(figure, axes, path)


def _box(axes: 'Axes', left: float, bottom: float, width: float, height: float, box: Box) -> None:
    from matplotlib.patches import Rectangle
    colour = COLOURS.get(box.place.partition('.')[0], OTHER)
    axes.add_patch(Rectangle((left, bottom), width, height, facecolor=colour, edgecolor='#777777', linewidth=0.8))
    for text, share, family in ((box.place, 0.66 if box.what else 0.5, 'monospace'), (box.what, 0.3, 'sans-serif')):
        axes.text(left + width / 2, bottom + height * share, text, ha='center', va='center', fontsize=8.5,
                  family=family)


def _arrow(axes: 'Axes', start: tuple[float, float], end: tuple[float, float], **style: str) -> None:
    axes.annotate('', end, start, arrowprops={'arrowstyle': '->', 'color': '#555555', **style})


def _save(figure: 'Figure', axes: 'Axes', path: Path) -> None:
    axes.axis('off')
    axes.autoscale_view()
    axes.set_aspect('equal')
    figure.savefig(path, dpi=110, bbox_inches='tight', metadata={'Software': None})


def main(arguments: Sequence[str] | None = None) -> int:
    Parser('tools.architecture', __doc__).parse_args(arguments)
    write_whole(PAGE, with_map(PAGE.read_text(encoding='utf8')))
    draw_rooms(PICTURES / 'rooms.png')
    draw_way(IMAGE, PICTURES / 'way_of_an_image.png')
    draw_way(STEP, PICTURES / 'way_of_a_step.png')
    print(f'wrote {PAGE} and three pictures in {PICTURES}')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

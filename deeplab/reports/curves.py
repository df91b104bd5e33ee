"""Curves of one or several runs, from their event files, as a picture.

    python -m deeplab.reports.curves runs/a runs/b --output curves.png [--tags mean_iou loss learning_rate]
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from console.command import Parser
from console.exits import DONE, guarded
from console.files import whole
from deeplab.reports import scope

TAGS = ('mean_iou', 'loss', 'learning_rate')
EVALUATION_STYLES = ('-', ':', '-.')
Curve = list[tuple[int, float]]


def curves(folder: Path) -> dict[str, Curve]:
    """{tag: [(step, value), ...]} of the scalars in a folder's event files; a step written again counts once.

    Raises:
      ValueError: the folder has no event file.
    """
    files = sorted(folder.glob('events.out.tfevents.*'))
    if not files:
        raise ValueError(f'{folder} has no event files; give a model_dir that was trained')
    points: dict[str, dict[int, float]] = {}
    for path in files:
        for step, tag, value in _scalars(path):
            points.setdefault(tag, {})[step] = value
    return {tag: sorted(values.items()) for tag, values in points.items()}


def _scalars(path: Path) -> Iterator[tuple[int, str, float]]:
    from deeplab.compat import tf  # only when the flags are right
    try:
        for event in tf.train.summary_iterator(str(path)):
            for value in event.summary.value:
                if value.HasField('simple_value'):
                    yield event.step, value.tag, value.simple_value
    except tf.errors.DataLossError:
        return  # a killed run ends in the middle of a record; what came before it is whole


def draw(model_dirs: Sequence[Path], tags: Sequence[str], output: Path) -> None:
    """One panel for each tag: training dashed, evaluation solid, or dotted where the run has several protocols."""
    figure = Figure(figsize=(5.5 * len(tags), 4), dpi=100, layout='constrained')
    panels = figure.subplots(1, len(tags), squeeze=False)[0]
    for number, model_dir in enumerate(model_dirs):
        found = [(curves(model_dir), '--', 'training batch'), *_evaluations(model_dir)]
        for panel, tag in zip(panels, tags, strict=True):
            for curve, style, kind in found:
                if tag in curve:
                    panel.plot(*zip(*curve[tag], strict=True), style, color=f'C{number}', linewidth=1.2,
                               label=f'{model_dir.name}, {kind}')
    for panel, tag in zip(panels, tags, strict=True):
        panel.set_title(tag)
        panel.set_xlabel('step')
        panel.grid(alpha=0.3)
        if panel.lines:
            panel.legend(fontsize=8)
    with whole(output) as aside:
        FigureCanvasAgg(figure).print_png(str(aside))


def _evaluations(model_dir: Path) -> Iterator[tuple[dict[str, Curve], str, str]]:
    """(curves, style, name) of the evaluations during training, a folder for each protocol."""
    of_before = model_dir / 'eval'
    folders = [*filter(Path.is_dir, [of_before]), *sorted(model_dir.glob(f'eval_{scope.DURING_TRAINING}*'))]
    for number, folder in enumerate(folders):
        name = folder.name.removeprefix('eval').removeprefix(f'_{scope.DURING_TRAINING}')
        yield curves(folder), EVALUATION_STYLES[number % len(EVALUATION_STYLES)], f'evaluation {name}'.strip()


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser('deeplab.reports.curves', __doc__)
    parser.add_argument('model_dirs', nargs='+', type=Path)
    parser.add_argument('--output', type=Path, required=True, help='the PNG to write')
    parser.add_argument('--tags', nargs='+', default=TAGS, help='scalars to draw; default %(default)s')
    own = parser.parse_args(argv)
    draw(own.model_dirs, own.tags, own.output)
    print(own.output)
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

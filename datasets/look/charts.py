"""Charts of a split: class frequencies and image sizes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from console.files import whole
from datasets.look.tally import Tally

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAR_INCHES = 0.18


def class_chart(path: Path, tally: Tally, names: tuple[str, ...], colors: Sequence[tuple[int, int, int]]) -> None:
    """A bar per class, its share of the labelled pixels on a logarithmic axis."""
    shares = 100 * tally.class_pixels / max(tally.class_pixels.sum(), 1)
    figure, axes = _figure(8, 1 + BAR_INCHES * len(names))
    places = np.arange(len(names))
    axes.barh(places, shares, color=np.asarray(colors) / 255, edgecolor='gray', linewidth=0.5)
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:g}')
    axes.set_xlim(min([share for share in shares if share], default=1) / 2, 100)
    ticks = [f'{label} {name} ({count})'
             for label, (name, count) in enumerate(zip(names, tally.class_images, strict=True))]
    axes.set_yticks(places, ticks, fontsize=7)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlabel('% of labelled pixels (in brackets: images that show the class)')
    _save(figure, path)


def size_chart(path: Path, tally: Tally) -> None:
    """A disc per size, its area the number of images."""
    heights, widths = np.transpose(list(tally.sizes))
    counts = np.array(list(tally.sizes.values()))
    figure, axes = _figure(6, 5)
    axes.scatter(widths, heights, 10 + 300 * counts / counts.max(), alpha=0.5)
    axes.set_xlim(0, 1.1 * widths.max())
    axes.set_ylim(0, 1.1 * heights.max())
    axes.set_xlabel('width, pixels')
    axes.set_ylabel('height, pixels')
    axes.set_title(f'{tally.num_images} images, {len(counts)} size(s)')
    _save(figure, path)


def _save(figure: 'Figure', path: Path) -> None:
    with whole(path) as aside:
        figure.savefig(aside, format='png')


def _figure(width: float, height: float) -> tuple['Figure', 'Axes']:
    # Without pyplot, which keeps every figure and asks for a display.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    figure = Figure(figsize=(width, height), dpi=100, layout='constrained')
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()

"""The HTML page of results: self-contained, sortable, a number never without its protocol."""

import base64
import re
from collections.abc import Collection, Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from datasets import row as rows
from deeplab.recipes import protocol
from deeplab.recipes import recipe as recipes
from deeplab.recipes.schema import Recipe
from deeplab.reports import cells
from deeplab.reports import status as statuses
from deeplab.reports.differences import comparable, reasons
from deeplab.reports.results import shipped

COLUMNS = ('recipe', 'data', 'published', 'reference', 'ours', 'difference', 'status', 'protocol', 'steps',
           'checkpoint', 'commit', 'hardware', 'evaluation')
OPEN_COLUMNS = ('recipe', 'title', 'data', 'published', 'protocol', 'status', 'source')
EXPLAINED = (
    'Mean IoU in percent; click a column to sort by it, a recipe for its classes. <b>Published</b> is the figure of a '
    'paper or a repository, <b>reference</b> one that nobody published: of a run of the same recipe here, or of other '
    'code over the same images. Without the same images and protocol there is no difference. <b>Status</b> is '
    + '; '.join(f'{name}: {meaning}' for name, meaning in statuses.STATUSES.items()) +
    '. A commit with a + had uncommitted changes. The last column is the time that the evaluation took.')
Shown = Collection[Mapping[str, Any]]  # results, in which statuses and reference runs are looked for
MAX_PICTURES = 4
DARK = ' class="dark"'
ASSETS = Path(__file__).parent / 'assets'


def page(results: Iterable[Mapping[str, Any]], pictures: Path | None = None) -> str:
    """An HTML document of results as evaluate.py wrote them, then of the rows that nobody measured here.

    `pictures` is a folder of PNGs to embed: RESULT_0.png, RESULT_1.png and so on, by the result's name.
    """
    known = recipes.table()
    results = list(results)
    measured = {result['recipe']['name'] for result in results}
    shown = [*shipped(), *results]
    body = [_table('results', COLUMNS, [_row(result, known, shown) for result in results])]
    body += [_details(result, known, shown, pictures) for result in results]
    open_rows = [_open_row(row, figure, shown) for name, row in known.items() if name not in measured
                 and (figure := statuses.figure(row, shown)) and figure.published]
    body += ['<h2>Published rows not measured here</h2>', _table('open', OPEN_COLUMNS, open_rows)]
    return (f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Results</title>\n'
            f'<meta name="viewport" content="width=device-width">\n<style>\n{_asset("style.css")}</style>\n'
            f'<h1>Results</h1>\n<p class="prose">{EXPLAINED}</p>\n{chr(10).join(body)}\n'
            f'<script>\n{_asset("sort.js")}</script>\n</html>\n')


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding='utf8')


def _row(result: Mapping[str, Any], known: Mapping[str, Recipe], shown: Shown) -> list[tuple[str, Any]]:
    """(shown, what to sort by) for each of COLUMNS."""
    words = cells.cells(result, known, shown)
    row = cells.row_of(result, known)
    figure, ours = statuses.figure(row, shown), result['scores']['mean_iou']
    compared = figure and comparable(result, row) and figure.run != result['name']
    difference = ours - figure.mean_iou if figure and compared else None
    minutes = result['seconds'] / 60
    return [
        (f'<a href="#{quote(result["name"])}">{_breakable(words.recipe)}</a>', words.recipe),
        _text(words.data), _figure(words.published, figure), _figure(words.reference, figure), (words.measured, ours),
        ('' if difference is None else f'{difference:+z.2f}', _or_empty(difference)),
        _text(words.status), _text(words.protocol), (words.steps, result['checkpoint']['global_step'] or 0),
        _text(result['checkpoint']['sha256'][:8]), _text(words.commit), _text(_hardware(result)),
        (f'{minutes:.1f} min', minutes)]


def _figure(text: str, figure: statuses.Figure | None) -> tuple[str, Any]:
    return _breakable(text), figure.mean_iou if text and figure else ''


def _open_row(row: Recipe, figure: statuses.Figure, shown: Shown) -> list[tuple[str, Any]]:
    return [_text(row.name), _text(row.title), _text(f'{row.data.dataset} {row.data.eval_split}'),
            (f'{figure.mean_iou:.2f}', figure.mean_iou), _text(protocol.of_figure(row)), _text(statuses.of(row, shown)),
            _text(figure.source)]


def _hardware(result: Mapping[str, Any]) -> str:
    hardware = result['hardware']
    return ', '.join(hardware['gpus']) or f'{hardware["cores"]} cores, {hardware["cpu"]}'


def _breakable(text: str) -> str:
    """Text of which a narrow column may break a long name or path."""
    return re.sub(r'([_/]|\.(?=[a-z.]))', r'\1<wbr>', escape(text))


def _text(value: str) -> tuple[str, str]:
    return _breakable(value), value


def _or_empty(value: float | None) -> Any:
    return '' if value is None else value


def _table(identity: str, columns: Iterable[str], entries: Iterable[list[tuple[str, Any]]]) -> str:
    head = ''.join(f'<th scope="col"><button>{column}</button></th>' for column in columns)
    lines = ''.join('<tr>' + ''.join(f'<td data-value="{escape(str(value))}">{cell}</td>' for cell, value in row)
                    + '</tr>\n' for row in entries)
    return (f'<div class="wide"><table id="{identity}" class="sortable"><thead><tr>{head}</tr></thead>\n'
            f'<tbody>\n{lines}</tbody></table></div>')


def _details(result: Mapping[str, Any], known: Mapping[str, Recipe], shown: Shown, pictures: Path | None) -> str:
    words, row = cells.cells(result, known, shown), cells.row_of(result, known)
    figure = statuses.figure(row, shown)
    why = reasons(result, row, figure.lowest) if figure else []
    listed = ''.join(f'<li>{escape(line)}</li>' for line in why)
    lower = f'<h3>Why is mine lower?</h3><ul>{listed}</ul>' if why else ''
    cited = ': '.join(filter(None, (row.citation, row.title)))
    return (f'<details id="{escape(result["name"])}"><summary>{_breakable(result["name"])}: {words.measured} on '
            f'{escape(words.data)}</summary><p>{escape(cited)}</p>{_facts(result, words, row, figure)}{lower}'
            f'{_bars(result)}{_matrix(result)}{_pictures(result, pictures)}</details>')


def _facts(result: Mapping[str, Any], words: cells.Cells, row: Recipe, figure: statuses.Figure | None) -> str:
    """What the table has no room for."""
    checkpoint = result['checkpoint']
    facts = {
        'Protocol': words.protocol,
        'Published': f'{words.published}; {figure.source}' if figure and figure.published else '',
        'Reference': f'{words.reference}; {figure.source}' if figure and not figure.published else '',
        'Hyper-parameters': row.source + ('' if row.verified else ' (not verified)') if row.source else '',
        'Pixel accuracy': words.pixel_accuracy,
        'Checkpoint': f'{checkpoint["path"]}, sha256 {checkpoint["sha256"]}',
        'Training': words.steps,
        'Evaluated': f'{result["date"]} in {result["seconds"]:.0f} s on {_hardware(result)}, TensorFlow '
                     f'{result["versions"]["tensorflow"]}'}
    return '<dl>' + ''.join(f'<dt>{name}</dt><dd>{escape(fact)}</dd>' for name, fact in facts.items() if fact) + '</dl>'


def _bars(result: Mapping[str, Any]) -> str:
    """A bar per class, in the class's colour."""
    palette = _palette(result)
    lines = []
    for (name, iou), color in zip(result['per_class_iou'].items(), palette, strict=True):
        text = '-' if iou is None else f'{iou:.1f}'
        lines.append(f'<tr><th>{escape(name)}</th><td class="track"><span class="bar" style="width:{iou or 0:.1f}%;'
                     f'background:rgb{tuple(color)}"></span></td><td>{text}</td></tr>')
    return f'<h3>IoU of each class</h3><table class="bars">{"".join(lines)}</table>'


def _palette(result: Mapping[str, Any]) -> list[tuple[int, ...]]:
    names = result['per_class_iou']
    try:
        palette = rows.load(result['data']['dataset']).palette
    except ValueError:  # somebody's own dataset, which isn't here
        palette = ()
    return [tuple(int(c) for c in palette[i]) if i < len(palette) else (96, 96, 96) for i in range(len(names))]


def _matrix(result: Mapping[str, Any]) -> str:
    """The confusion matrix, each row in percent of its truth."""
    names = list(result['per_class_iou'])
    head = ''.join(f'<th><span>{escape(name)}</span></th>' for name in names)
    lines = []
    for name, counts in zip(names, result['confusion_matrix'], strict=True):
        shares = [100 * count / max(1, sum(counts)) for count in counts]
        cells = ''.join(f'<td{DARK * (share > 60)} style="--share:{share:.0f}%" title="{share:.2f} %">{share:.0f}</td>'
                        for share in shares)
        lines.append(f'<tr><th>{escape(name)}</th>{cells}</tr>')
    return (f'<h3>Confusion matrix: rows are the truth, in percent</h3><div class="wide"><table class="matrix"><tr>'
            f'<td></td>{head}</tr>{"".join(lines)}</table></div>')


def _pictures(result: Mapping[str, Any], folder: Path | None) -> str:
    own = re.compile(rf'{re.escape(result["name"])}_\d+')  # not those of a name that only begins alike
    paths = sorted(path for path in folder.glob('*.png') if own.fullmatch(path.stem))[:MAX_PICTURES] if folder else []
    tags = ''.join(f'<img alt="{escape(path.stem)}: image, truth, prediction" src="data:image/png;base64,'
                   f'{base64.b64encode(path.read_bytes()).decode()}">' for path in paths)
    return f'<h3>Image, truth, prediction</h3>{tags}' if tags else ''

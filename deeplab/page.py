"""The HTML page of results: self-contained, sortable, a number never without its protocol."""

import base64
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from datasets import registry
from deeplab import recipe as recipes
from deeplab.schema import Recipe
from deeplab.why import reasons, same_images

COLUMNS = ('recipe', 'data', 'paper', 'ours', 'difference', 'status', 'protocol', 'steps', 'checkpoint', 'commit',
           'hardware', 'minutes')
OPEN_COLUMNS = ('recipe', 'title', 'data', 'paper', 'status', 'source')
MAX_PICTURES = 4
DARK = ' class="dark"'
ASSETS = Path(__file__).parent / 'assets'


def page(results: Iterable[Mapping[str, Any]], protocol_text, pictures: Path | None = None) -> str:
    """An HTML document of results as evaluate.py wrote them, then of the rows that nobody measured here.

    `protocol_text(result)` is the protocol on one line; `pictures` a folder of PNGs RESULT_NAME*.png to embed.
    """
    known = recipes.table()
    results = list(results)
    measured = {result['recipe']['name'] for result in results}
    body = [_table('results', COLUMNS, [_row(result, known, protocol_text) for result in results])]
    body += [_details(result, known, pictures) for result in results]
    open_rows = [_open_row(row) for name, row in known.items()
                 if name not in measured and row.expected.mean_iou is not None]
    body += ['<h2>Published rows not measured here</h2>', _table('open', OPEN_COLUMNS, open_rows)]
    return (f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Results</title>\n'
            f'<style>\n{_asset("style.css")}</style>\n<h1>Results</h1>\n'
            f'<p>Mean IoU in percent. Click a column to sort by it.</p>\n{chr(10).join(body)}\n'
            f'<script>\n{_asset("sort.js")}</script>\n</html>\n')


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding='utf8')


def _row(result: Mapping[str, Any], known: Mapping[str, Recipe], protocol_text) -> list[tuple[str, Any]]:
    """(shown, what to sort by) for each of COLUMNS."""
    name = result['recipe']['name']
    paper, ours = result['recipe']['expected']['mean_iou'], result['scores']['mean_iou']
    steps = result['checkpoint']['global_step']
    row_steps = known[name].train.max_steps if name in known else None
    minutes = result['seconds'] / 60
    comparable = paper is not None and same_images(result, known.get(name) or recipes.from_dict(result['recipe']))
    difference = ours - paper if comparable else None
    hardware = result['hardware']
    git = result['git']
    return [
        (f'<a href="#{escape(result["name"])}">{escape(name)}</a>', name),
        _text(f'{result["data"]["dataset"]} {result["data"]["split"]}, {result["data"]["num_images"]} images'),
        _number(paper), _number(ours), _number(difference, '+.2f'),
        _text(known[name].status if name in known else ''), _text(protocol_text(result)),
        (f'{steps} of {row_steps}' if steps else 'released weights', steps or 0),
        _text(result['checkpoint']['sha256'][:8]),
        _text((git['commit'] or '')[:7] + ('+' if git['dirty'] else '')),
        _text(', '.join(hardware['gpus']) or f'{hardware["cores"]} cores, {hardware["cpu"]}'),
        _number(minutes, '.1f')]


def _open_row(row: Recipe) -> list[tuple[str, Any]]:
    verified = '' if row.expected.verified else ' (not verified)'
    return [_text(row.name), _text(row.title), _text(f'{row.data.dataset} {row.data.eval_split}'),
            _number(row.expected.mean_iou), _text(row.status), _text(row.expected.source + verified)]


def _text(value: str) -> tuple[str, str]:
    return escape(value), value


def _number(value: float | None, form: str = '.2f') -> tuple[str, Any]:
    return ('', '') if value is None else (format(value, form), value)


def _table(identity: str, columns: Iterable[str], rows: Iterable[list[tuple[str, Any]]]) -> str:
    head = ''.join(f'<th scope="col"><button>{column}</button></th>' for column in columns)
    lines = ''.join('<tr>' + ''.join(f'<td data-value="{escape(str(value))}">{shown}</td>' for shown, value in row)
                    + '</tr>\n' for row in rows)
    return f'<table id="{identity}" class="sortable"><thead><tr>{head}</tr></thead>\n<tbody>\n{lines}</tbody></table>'


def _details(result: Mapping[str, Any], known: Mapping[str, Recipe], pictures: Path | None) -> str:
    why = reasons(result, known.get(result['recipe']['name']))
    listed = ''.join(f'<li>{escape(line)}</li>' for line in why)
    lower = f'<h3>Why is mine lower?</h3><ul>{listed}</ul>' if why else ''
    return (f'<details id="{escape(result["name"])}"><summary>{escape(result["name"])}</summary>'
            f'<p>{escape(result["recipe"]["title"])}. {escape(result["recipe"]["citation"])}</p>{lower}'
            f'{_bars(result)}{_matrix(result)}{_pictures(result, pictures)}</details>')


def _bars(result: Mapping[str, Any]) -> str:
    """A bar per class, in the class's colour."""
    palette = _palette(result)
    lines = []
    for (name, iou), color in zip(result['per_class_iou'].items(), palette, strict=True):
        shown = '-' if iou is None else f'{iou:.1f}'
        lines.append(f'<tr><th>{escape(name)}</th><td class="track"><span class="bar" style="width:{iou or 0:.1f}%;'
                     f'background:rgb{tuple(color)}"></span></td><td>{shown}</td></tr>')
    return f'<h3>IoU of each class</h3><table class="bars">{"".join(lines)}</table>'


def _palette(result: Mapping[str, Any]) -> list[tuple[int, ...]]:
    names = result['per_class_iou']
    try:
        palette = registry.load(result['data']['dataset']).palette
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
    return (f'<h3>Confusion matrix: rows are the truth, in percent</h3><table class="matrix"><tr><td></td>{head}</tr>'
            f'{"".join(lines)}</table>')


def _pictures(result: Mapping[str, Any], folder: Path | None) -> str:
    paths = sorted(folder.glob(f'{result["recipe"]["name"]}*.png'))[:MAX_PICTURES] if folder else []
    tags = ''.join(f'<img alt="{escape(path.stem)}: image, truth, prediction" src="data:image/png;base64,'
                   f'{base64.b64encode(path.read_bytes()).decode()}">' for path in paths)
    return f'<h3>Image, truth, prediction</h3>{tags}' if tags else ''

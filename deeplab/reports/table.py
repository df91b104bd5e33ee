"""The table of measured numbers, from the result JSONs that evaluate.py wrote.

    python -m deeplab.reports.table [results/] [--into README.md] [--html results.html]

With --into, the lines between `<!-- results -->` and `<!-- /results -->` of that file are replaced. The HTML page has
the classes, the confusion matrices, why a number is below its paper's, and the rows that nobody measured here.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole
from datasets import row as datasets
from deeplab.recipes import recipe as recipes
from deeplab.reports import cells
from deeplab.reports.page import page
from deeplab.reports.scope import split_images

BEGIN, END = '<!-- results -->\n', '<!-- /results -->\n'
# Of shown.Cells, in order.
COLUMNS = ('recipe', 'status', 'data', 'protocol', 'expected mIoU', 'measured mIoU', 'pixel accuracy', 'trained here',
           'commit')


def rows(results: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A tuple of COLUMNS for each result, by recipe."""
    known = recipes.table()
    return sorted(cells.cells(result, known) for result in results)


def markdown(lines: Iterable[tuple[str, ...]]) -> str:
    table = [COLUMNS, tuple('---' for _ in COLUMNS), *lines]
    return ''.join(f'| {" | ".join(line)} |\n' for line in table)


def load(folder: Path) -> list[dict[str, Any]]:
    """The results of a folder, named like their files; ValueError when it has none.

    Two evaluations of one checkpoint have one name until they are written: only their files' names differ.
    Recipes have the names of today.
    """
    found = [json.loads(path.read_text(encoding='utf8')) | {'name': path.stem}
             for path in sorted(folder.glob('*.json'))]
    for result in found:
        result['recipe']['name'] = recipes.current_name(result['recipe']['name'])
        _complete(result)
    if not found:
        raise ValueError(f'{folder} has no results; evaluate.py writes them')
    return found


def _complete(result: dict[str, Any]) -> None:
    """Gives a result of before what it lacks: the precision stood beside its protocol, a split's size nowhere."""
    if 'precision' in result:
        result['protocol']['precision'] = result.pop('precision')
    data = result['data']
    if 'split_images' not in data:
        try:
            whole = split_images(datasets.load(data['dataset']), data['split'], data['num_images'])
        except (ValueError, OSError):  # a dataset of somebody's own, which isn't here
            whole = data['num_images']
        data['split_images'] = whole


def insert(text: str, table: str) -> str:
    """The text with the lines between the markers replaced; ValueError without markers."""
    if BEGIN not in text or END not in text:
        raise ValueError(f'the text has no {BEGIN.strip()} … {END.strip()}')
    before, rest = text.split(BEGIN, 1)
    return before + BEGIN + table + END + rest.split(END, 1)[1]


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser('deeplab.reports.table', __doc__)
    parser.add_argument('folder', nargs='?', type=Path, default=Path('results'))
    parser.add_argument('--into', type=Path, help='a Markdown file with the markers')
    parser.add_argument('--html', type=Path, help='write a page that sorts, to open in a browser')
    own = parser.parse_args(argv)
    results = load(own.folder)
    table = markdown(rows(results))
    if own.html:
        write_whole(own.html, page(results, own.folder / 'pictures'))
    if own.into:
        write_whole(own.into, insert(own.into.read_text(encoding='utf8'), table))
    elif not own.html:
        print(table, end='')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

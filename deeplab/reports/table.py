"""The table of measured numbers, from the result JSONs that evaluate.py wrote.

    python -m deeplab.reports.table [results/] [--into README.md] [--html results.html]

With --into, the lines between `<!-- results -->` and `<!-- /results -->` of that file are replaced. The HTML page has
the classes, the confusion matrices, why a number is below its paper's, and the rows that nobody measured here.
"""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole
from deeplab.recipes import recipe as recipes
from deeplab.reports import cells
from deeplab.reports.page import page
from deeplab.reports.results import load, shipped

BEGIN, END = '<!-- results -->\n', '<!-- /results -->\n'
# Of cells.Cells, in order.
COLUMNS = ('recipe', 'status', 'data', 'protocol', 'published mIoU', 'reference mIoU', 'measured mIoU',
           'pixel accuracy', 'trained here', 'commit')


def rows(results: Collection[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A tuple of COLUMNS for each result, by recipe."""
    known = recipes.table()
    return sorted(cells.cells(result, known, [*shipped(), *results]) for result in results)


def markdown(lines: Iterable[tuple[str, ...]]) -> str:
    table = [COLUMNS, tuple('---' for _ in COLUMNS), *lines]
    return ''.join(f'| {" | ".join(line)} |\n' for line in table)


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

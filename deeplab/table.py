"""The table of measured numbers, from the result JSONs that evaluate.py wrote.

    python -m deeplab.table [results/] [--into README.md]

With --into, the lines between `<!-- results -->` and `<!-- /results -->` of that file are replaced.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from deeplab import flags
from deeplab import recipe as recipes
from deeplab.schema import Recipe

BEGIN, END = '<!-- results -->\n', '<!-- /results -->\n'
COLUMNS = ('recipe', 'status', 'data', 'protocol', 'expected mIoU', 'measured mIoU', 'pixel accuracy', 'trained here',
           'commit')


def rows(results: Iterable[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """A tuple of COLUMNS for each result, by recipe."""
    known = recipes.table()
    return sorted(_row(result, known) for result in results)


def _row(result: Mapping[str, Any], known: Mapping[str, Recipe]) -> tuple[str, ...]:
    name = result['recipe']['name']
    expected = result['recipe']['expected']['mean_iou']
    step = result['checkpoint']['global_step']
    # What was shown of a row is said by the row as it is now.
    return (name, known[name].status if name in known else '',
            f'{result["data"]["dataset"]} {result["data"]["split"]}, {result["data"]["num_images"]} images',
            _protocol(result['protocol']) + ('' if result['precision'] == 'float32' else f', {result["precision"]}'),
            '' if expected is None else f'{expected:.2f}',
            f'{result["scores"]["mean_iou"]:.2f}', f'{result["scores"]["pixel_accuracy"]:.2f}',
            f'{step} steps' if step else 'released weights',
            (result['git']['commit'] or '')[:7] + ('+' if result['git']['dirty'] else ''))


def _protocol(protocol: Mapping[str, Any]) -> str:
    scales = '' if protocol['scales'] == [1.0] else f', scales {", ".join(f"{s:g}" for s in protocol["scales"])}'
    pad = f', padded to {"x".join(map(str, protocol["pad_to"]))}' if protocol['pad_to'] else ''
    official = ', as official' if protocol.get('official_compat') else ''
    resized = f', resized to {protocol["resize"][0]}' if protocol.get('resize', [0])[0] else ''
    return f'OS {protocol["output_stride"]}{scales}{", flip" if protocol["flip"] else ""}{pad}{resized}{official}'


def markdown(lines: Iterable[tuple[str, ...]]) -> str:
    table = [COLUMNS, tuple('---' for _ in COLUMNS), *lines]
    return ''.join(f'| {" | ".join(line)} |\n' for line in table)


def load(folder: Path) -> list[dict[str, Any]]:
    """The results of a folder; ValueError when it has none."""
    found = [json.loads(path.read_text(encoding='utf8')) for path in sorted(folder.glob('*.json'))]
    if not found:
        raise ValueError(f'{folder} has no results; evaluate.py writes them')
    return found


def insert(text: str, table: str) -> str:
    """The text with the lines between the markers replaced; ValueError without markers."""
    if BEGIN not in text or END not in text:
        raise ValueError(f'the text has no {BEGIN.strip()} … {END.strip()}')
    before, rest = text.split(BEGIN, 1)
    return before + BEGIN + table + END + rest.split(END, 1)[1]


def main(argv=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('folder', nargs='?', type=Path, default=Path('results'))
    parser.add_argument('--into', type=Path, help='a Markdown file with the markers')
    own = parser.parse_args(argv)
    table = markdown(rows(load(own.folder)))
    if own.into:
        own.into.write_text(insert(own.into.read_text(encoding='utf8'), table), encoding='utf8')
    else:
        print(table, end='')
    return 0


if __name__ == '__main__':
    sys.exit(flags.guarded(main))

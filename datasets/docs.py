"""Writes docs/datasets.md, the table of the rows.

    python -m datasets.docs
"""

import sys
from collections.abc import Sequence

from console import checkout
from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole
from datasets import row as rows
from datasets.row import Dataset

PAGE = checkout.FOLDER / 'docs' / 'datasets.md'
INTRODUCTION = """# Datasets

Written by `python -m datasets.docs` from `datasets/rows/*.toml`; edit those. Fetch a dataset, unpack it into a folder
DIR, and this command checks every file and writes the records of all splits that DIR has, or of `--splits`:

    python -m datasets.convert --dataset NAME --raw_dir DIR --output_dir records/NAME

A split with another number of images than the published one is converted with a warning. Splits in brackets hold images
of others too and are converted only when `--splits` names them. Pixels of the ignored label are neither trained nor
scored. An interrupted conversion goes on with the shards it had finished when the command is run again.

Labels are read as what the files store: greyscale and palette PNGs of 1 to 16 bits as ids, colours by the row's table,
`.mat` files with SciPy (`pip install -r requirements-datasets.txt`). A colour or id that the row doesn't know stops the
conversion with file, value and number of pixels, and so does a JPEG. For a folder of your own see
`python -m datasets.new --help`; its row may say `labels = 'ids'`, `'colors'` or `'one_hot'` (a folder of binary masks
for each class: a label template such as `masks/{class}/{id}.png`).

The package `datasets` here isn't Hugging Face's of that name, and one environment holds one of the two (README.md,
Installing).

"""
COLUMNS = ('`NAME`', 'Dataset', 'Classes', 'Ignored', 'Labels', 'Images', 'From', 'Unpack into DIR', 'So that DIR has')


def page() -> str:
    """The whole document, in Markdown."""
    lines = [COLUMNS, ['---'] * len(COLUMNS), *(_row(rows.load(name)) for name in rows.names())]
    return INTRODUCTION + ''.join(f'| {" | ".join(row)} |\n' for row in lines) + _licences()


def _row(dataset: Dataset) -> tuple[str, ...]:
    sizes = ', '.join(f'({split} {entry.num_images})' if entry.on_request else f'{split} {entry.num_images}'
                      for split, entry in dataset.splits.items())
    source = f'<{dataset.url}>' if '://' in dataset.url else f'`{dataset.url}`'
    return (f'`{dataset.name}`', dataset.title, str(dataset.num_classes), str(dataset.ignore_label), _labels(dataset),
            sizes, source, dataset.unpack, _layout(dataset))


def _labels(dataset: Dataset) -> str:
    in_matlab = any(template.endswith('.mat') for split in dataset.splits for template in dataset.templates(split)[1])
    cut = f', in tiles of {dataset.tiles.size}' if dataset.tiles else ''
    return dataset.labels.replace('_', ' ') + (f' (.mat: {dataset.variable})' if in_matlab else '') + cut


def _layout(dataset: Dataset) -> str:
    """Where the files of the first split are looked for first, and the folders below DIR where they may be instead."""
    layout, first = dataset.layout, next(iter(dataset.splits))
    wanted = [templates for templates in (layout.list, *dataset.templates(first)) if templates]
    files = ', '.join(f'`{templates[0].replace("{split}", dataset.folder(first))}`' for templates in wanted)
    below = ' or '.join(f'`{root}`' for root in layout.roots if root != '.')
    return f'{files}; or all that in {below}' if below else files


def _licences() -> str:
    lines = (f'- `{name}`: {rows.load(name).licence}\n' for name in rows.names())
    return '\nTerms of use, in short; read them at the source:\n\n' + ''.join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    Parser('datasets.docs', __doc__).parse_args(arguments)
    checkout.required()
    write_whole(PAGE, page())
    print(f'wrote {PAGE}')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

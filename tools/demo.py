"""The whole chain on the embedded dataset, with the commands that the README shows: what `make demo` runs.

    python -m tools.demo [--dir demo] [--dataset camvid --raw_dir UNPACKED_DATASET --images IMAGES]

Draws the dataset, converts it, trains, predicts, exports and evaluates; the export checks the SavedModel. Starting it
again resumes or repeats what is there. A command that fails ends it, with that command's exit status.
"""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from console import checkout
from console.command import Parser
from console.exits import DONE, guarded

ROOT = checkout.FOLDER


def commands(folder: Path, dataset: str, raw_dir: Path, images: Path) -> list[list[str]]:
    """The chain, as argument lists of Python."""
    records, model_dir = folder / 'records', folder / 'model'
    chain = []
    if dataset == 'synthetic':
        chain.append(['-m', 'datasets.synthetic', '--output_dir', raw_dir])
    chain += [
        ['-m', 'datasets.convert', '--dataset', dataset, '--raw_dir', raw_dir, '--output_dir', records, '--overwrite'],
        ['train.py', '--recipe', 'demo', '--dataset', dataset, '--record_dir', records, '--model_dir', model_dir],
        ['inference.py', '--model_dir', model_dir, '--input', images, '--output_dir', folder / 'predictions',
         '--overwrite'],
        ['export_model.py', '--model_dir', model_dir, '--export_dir', folder / 'exported'],
        ['evaluate.py', '--model_dir', model_dir, '--pictures', folder / 'pictures'],
    ]
    return [[str(part) for part in command] for command in chain]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser('tools.demo', __doc__)
    parser.add_argument('--dir', type=Path, default=Path('demo'), help='where everything goes; default %(default)s')
    parser.add_argument('--dataset', default='synthetic', help='default %(default)s')
    parser.add_argument('--raw_dir', type=Path, help='the unpacked dataset, when it is not the synthetic one')
    parser.add_argument('--images', type=Path, help='images for inference.py; default: those of the synthetic set')
    own = parser.parse_args(arguments)
    raw_dir = own.raw_dir or own.dir / 'raw'
    begun = time.monotonic()
    for command in commands(own.dir, own.dataset, raw_dir, own.images or raw_dir / 'JPEGImages'):
        print(f'\n$ python {shlex.join(command)}', flush=True)
        status = subprocess.run([sys.executable, *command], cwd=ROOT, env=os.environ | {'PYTHONUNBUFFERED': '1'},
                                check=False).returncode
        if status:
            print(f'error: that command ended with status {status}', file=sys.stderr)
            return status
    print(f'\ndone in {(time.monotonic() - begun) / 60:.1f} minutes; to look at:')
    for what, where in (('image | truth | prediction', 'pictures'), ('predictions of every image', 'predictions'),
                        ('SavedModel', 'exported'), ('TensorBoard', 'model')):
        print(f'  {what:<28} {"tensorboard --logdir " * (where == "model")}{own.dir / where}')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

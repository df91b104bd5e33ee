"""Times this harness beside the official DeepLab and PyTorch, and writes docs/performance.md: `make bench`.

    python -m benchmarks.performance [--only training --only input …] [--record_dir records/voc2012]
        [--official DIR] [--peers_python EXECUTABLE]

Every contender is a process of its own, and all are asked in turn, round by round: ratios are medians over rounds.
Times go to benchmarks/performance.json; sections that aren't timed stay as they are there. A peer that isn't there is
said to be absent. Without records of VOC 2012's val split, images are drawn.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import drawn, page, report, rounds
from benchmarks.machine import state, warning
from benchmarks.sections import SECTIONS, SPLIT, Setup
from console.checkout import FOLDER
from console.choices import choose
from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole

DRAWN = 192  # more than any contender sees in one section


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser('benchmarks.performance', __doc__)
    parser.add_argument('--only', action='append', default=[], metavar='SECTION',
                        help=f'of {", ".join(SECTIONS)}; may be given several times; default: all')
    parser.add_argument('--official', default='', help='checkout of tensorflow/models, or its folder research')
    parser.add_argument('--peers_python', default='', help='interpreter with torch, torchvision and albumentations')
    parser.add_argument('--record_dir', default='', help=f'records of voc2012 with a split {SPLIT}')
    parser.add_argument('--page', action='store_true',
                        help='only write docs/performance.md, of the times that are there')
    own = parser.parse_args(arguments)
    if own.page:
        page.write()
        return DONE
    for name in own.only:
        choose('--only', name, SECTIONS)
    _check(own.official, own.peers_python, own.record_dir)
    chosen = own.only or list(SECTIONS)
    if busy := warning(os.getloadavg()[0]):
        _say(f'warning: {busy}')
    with tempfile.TemporaryDirectory(prefix='bench-') as folder:
        setup = _prepare(Path(folder), own.official, own.peers_python, own.record_dir)
        for name in chosen:
            section = _timed(name, setup, Path(folder, 'logs'), drawn_images=not own.record_dir)
            print(f'\n{report.TITLES[name]}\n\n{report.table(name, section)}\n', flush=True)
            _keep(name, section)
    page.write()
    print(report.aims(page.read()))
    return DONE


def _check(official: str, peers_python: str, record_dir: str) -> None:
    """ValueError for what was given and isn't there, before anything is timed."""
    if official and not any(Path(official, *parts).is_dir() for parts in (('research', 'deeplab'), ('deeplab',))):
        raise ValueError(f'--official {official} holds no research/deeplab: give a checkout of tensorflow/models')
    if peers_python and not shutil.which(peers_python):
        raise ValueError(f'--peers_python {peers_python} is no interpreter: docs/performance.md says how to make one')
    if record_dir and not list(Path(record_dir).glob(f'{SPLIT}-*')):
        raise ValueError(f'--record_dir {record_dir} holds no split {SPLIT}: python -m datasets.convert --dataset '
                         f'voc2012 writes it')


def _prepare(folder: Path, official: str, peers_python: str, record_dir: str) -> Setup:
    pictures, checkpoint = folder / 'pictures', folder / 'model.ckpt-0'
    pictures.mkdir()
    (folder / 'logs').mkdir()
    if not record_dir:
        _say(f'no --record_dir: {DRAWN} images are drawn')
        record_dir = str(drawn.write(folder / 'drawn', DRAWN))
    code = 'import sys; from benchmarks.contenders import ours; ours.prepare(*sys.argv[1:])'
    record_dir = str(Path(record_dir).resolve())
    subprocess.run([sys.executable, '-c', code, record_dir, str(pictures), str(checkpoint)], check=True, cwd=FOLDER,
                   stderr=subprocess.DEVNULL)
    return Setup(str(Path(official).resolve()) if official else '', shutil.which(peers_python) or '', record_dir,
                 str(pictures), str(checkpoint))


def _timed(name: str, setup: Setup, logs: Path, drawn_images: bool) -> dict[str, Any]:
    begun, before = time.monotonic(), state()
    cases = [rounds.run(case, logs, _say) for case in SECTIONS[name](setup)]
    return before | {'date': time.strftime('%Y-%m-%d'), 'images': 'drawn' if drawn_images else f'voc2012 {SPLIT}',
                     'minutes': round((time.monotonic() - begun) / 60, 1), 'cases': cases}


def _keep(name: str, section: dict[str, Any]) -> None:
    """Replaces one section of the committed file."""
    sections = page.read() | {name: section}
    ordered = {each: sections[each] for each in SECTIONS if each in sections}
    write_whole(page.TIMES, json.dumps(ordered, indent=1) + '\n')


def _say(line: str) -> None:
    print(f'{time.strftime("%H:%M:%S")} {line}', file=sys.stderr, flush=True)


if __name__ == '__main__':
    sys.exit(guarded(main))

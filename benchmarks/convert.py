"""Times a conversion against decoding its labels, and against reading them.

    python -m benchmarks.convert --dataset voc2012 --raw_dir DIR --split val --output convert.json

Decoding a label gives what its file stores; reading it, checked and mapped class ids and their number. Every run is
timed with all workers, their start included (which is most of the time of a small split, and timed alone too), and in
one process, whose CPU time tells the work itself and is disturbed least by other load.
"""

import functools
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import PIL

from console import memory
from console.command import Parser
from console.exits import DONE, guarded
from console.files import write_whole
from console.parallel import ordered_map
from datasets import row as rows
from datasets.convert import convert
from datasets.raw import labels
from datasets.raw.layouts import find_pairs
from datasets.raw.pairs import Pair
from datasets.row import Dataset


def decode_label(pair: Pair) -> int:
    """The number of pixels, so that little goes back to the parent."""
    return labels.decode(pair.label).size


def read_label(dataset: Dataset, pair: Pair) -> int:
    return labels.read(pair.label, dataset).size


def measure(dataset: Dataset, raw_dir: Path, split: str, workers: int, repeats: int) -> dict[str, Any]:
    """Seconds of `repeats` runs of each, with warm files, in turns."""
    pairs, _ = find_pairs(dataset, raw_dir, split)

    def of_labels(function: Callable[[Pair], int], workers: int) -> None:
        sum(ordered_map(function, pairs, workers))

    def one_label_each(workers: int) -> None:
        sum(ordered_map(decode_label, pairs[:workers], workers))

    def converted(workers: int) -> None:
        with tempfile.TemporaryDirectory() as output:
            convert(dataset, raw_dir, output, [split], workers=workers)

    tasks: dict[str, Callable[[int], None]] = {
        'decoding_labels': functools.partial(of_labels, decode_label),
        'reading_labels': functools.partial(of_labels, functools.partial(read_label, dataset)),
        'converting': converted}
    wall: dict[str, list[float]] = {name: [] for name in tasks}
    cpu: dict[str, list[float]] = {name: [] for name in tasks}
    starting = []
    for _ in range(repeats):
        for name, task in tasks.items():
            wall[name].append(_seconds(time.perf_counter, task, workers))
        starting.append(_seconds(time.perf_counter, one_label_each, workers))
        for name, task in tasks.items():
            cpu[name].append(_seconds(time.process_time, task, 1))
    return {
        'dataset': dataset.name, 'split': split, 'num_examples': len(pairs), 'workers': workers,
        'seconds': wall, 'seconds_starting_workers': starting, 'cpu_seconds_in_one_process': cpu,
        'examples_per_second': len(pairs) / min(wall['converting']),
        'cpu_milliseconds_per_example': {name: 1e3 * min(seconds) / len(pairs) for name, seconds in cpu.items()},
        'speed_against': _ratios(wall), 'speed_against_in_cpu_time': _ratios(cpu),
        'peak_megabytes_of_parent': memory.peak_bytes() / 2**20,
        'cores': os.cpu_count(), 'load': os.getloadavg(), 'python': platform.python_version(),
        'pillow': PIL.__version__,
        'command': f'python -m benchmarks.convert --dataset {dataset.name} --split {split} --workers {workers} '
                   '--raw_dir RAW_DIR --output OUTPUT',
    }


def _seconds(clock: Callable[[], float], task: Callable[[int], None], workers: int) -> float:
    start = clock()
    task(workers)
    return clock() - start


def _ratios(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Of the fastest runs: 1 when a conversion takes no longer than the other."""
    return {name: min(runs) / min(seconds['converting']) for name, runs in seconds.items() if name != 'converting'}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = Parser('benchmarks.convert', __doc__, formerly={'--data_dir': '--raw_dir'})
    parser.add_argument('--dataset', default='voc2012')
    parser.add_argument('--raw_dir', required=True)
    parser.add_argument('--split', required=True)
    parser.add_argument('--workers', type=int, default=os.cpu_count())
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--output', required=True, help='JSON file')
    options = parser.parse_args(arguments)
    import tensorflow  # noqa: F401  imported by the first conversion, and not its cost
    result = measure(rows.load(options.dataset), Path(options.raw_dir), options.split, options.workers,
                     options.repeats)
    write_whole(options.output, json.dumps(result, indent=1) + '\n')
    for name, ratio in result['speed_against'].items():
        print(f'{ratio:.2f} x the speed of {name.replace("_", " ")} alone, '
              f'{result["speed_against_in_cpu_time"][name]:.2f} x in CPU time')
    return DONE


if __name__ == '__main__':
    sys.exit(guarded(main))

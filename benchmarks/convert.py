"""Times a conversion against decoding its labels alone: `python -m benchmarks.convert --help`."""

import argparse
import functools
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import PIL

from datasets import labels, registry
from datasets.convert import convert
from datasets.layouts import find_pairs
from datasets.pairs import Pair
from datasets.parallel import ordered_map
from datasets.registry import Dataset


def decode_label(dataset: Dataset, pair: Pair) -> int:
    """What the conversion is held against; the number of pixels, so that little goes back to the parent."""
    return labels.read(pair.label, dataset).size


def measure(dataset: Dataset, data_dir: Path, split: str, workers: int, repeats: int) -> dict:
    """Seconds of the fastest of `repeats` runs of each, with warm files, in turns."""
    pairs, _ = find_pairs(dataset, data_dir, split)
    decode = functools.partial(decode_label, dataset)
    decoding, converting = [], []
    for _ in range(repeats):
        start = time.perf_counter()
        pixels = sum(ordered_map(decode, pairs, workers))
        decoding.append(time.perf_counter() - start)
        with tempfile.TemporaryDirectory() as output:
            start = time.perf_counter()
            convert(dataset, data_dir, output, [split], workers=workers)
            converting.append(time.perf_counter() - start)
    return {
        'dataset': dataset.name, 'split': split, 'num_examples': len(pairs), 'pixels': pixels, 'workers': workers,
        'seconds_decoding_labels': decoding, 'seconds_converting': converting,
        'labels_per_second': len(pairs) / min(decoding), 'examples_per_second': len(pairs) / min(converting),
        'speed_against_decoding_labels': min(decoding) / min(converting),
        'peak_megabytes_of_parent': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        'cores': os.cpu_count(), 'load': os.getloadavg(), 'python': platform.python_version(),
        'pillow': PIL.__version__,
        'command': ' '.join(['python -m benchmarks.convert', *sys.argv[1:]]),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    parser = argparse.ArgumentParser(prog='python -m benchmarks.convert', description=__doc__.split(':')[0])
    parser.add_argument('--dataset', default='voc2012')
    parser.add_argument('--data_dir', required=True)
    parser.add_argument('--split', required=True)
    parser.add_argument('--workers', type=int, default=os.cpu_count())
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--output', required=True, help='JSON file')
    options = parser.parse_args(arguments)
    import tensorflow  # noqa: F401  imported by the first conversion, and not its cost
    result = measure(registry.load(options.dataset), Path(options.data_dir), options.split, options.workers,
                     options.repeats)
    Path(options.output).write_text(json.dumps(result, indent=1) + '\n')
    print(f'{result["speed_against_decoding_labels"]:.2f} x the speed of decoding labels alone')
    return 0


if __name__ == '__main__':
    sys.exit(main())

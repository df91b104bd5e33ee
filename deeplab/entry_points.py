"""The commands that an installation has: `deeplab-train` is `python train.py`, from any folder.

    deeplab-train  deeplab-evaluate  deeplab-infer  deeplab-export  deeplab-convert  deeplab-inspect
"""

import importlib.util
from pathlib import Path

from console.exits import guarded

DISTRIBUTION = 'deeplab-harness'


def train() -> int:
    return _run('deeplab.mains.train')


def evaluate() -> int:
    return _run('deeplab.mains.evaluate')


def infer() -> int:
    return _run('deeplab.mains.inference')


def export() -> int:
    return _run('deeplab.mains.export_model')


def convert() -> int:
    return _run('datasets.convert')


def inspect() -> int:
    return _run('datasets.inspect')


def _run(module: str) -> int:
    def main() -> int:
        require_our_datasets()
        return importlib.import_module(module).main()

    return guarded(main)


def require_our_datasets() -> None:
    """Looks which package of the name `datasets` Python would import; Hugging Face's has the same.

    Raises:
      ValueError: it is not ours. Says where it is, and what to do.
    """
    spec = importlib.util.find_spec('datasets')
    origin = Path(spec.origin) if spec and spec.origin else None
    if origin is None or DISTRIBUTION not in origin.read_text(encoding='utf8'):
        raise ValueError(f"the package datasets at {origin or 'no file'} is not that of {DISTRIBUTION}: Hugging Face's "
                         f'has the same name, and one environment holds one of the two. Install {DISTRIBUTION} in an '
                         f'environment of its own (README.md, Installing)')

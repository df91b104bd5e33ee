"""Images and labels of one small size, put where a layout has them, and what a conversion makes of them."""

import numpy as np
import pytest
from PIL import Image

from datasets.convert import convert
from datasets.input.index import index_records
from datasets.input_fn import eval_dataset
from tests.datasets import drawn

SIZE = (12, 17)
IDS = np.arange(SIZE[0] * SIZE[1]).reshape(SIZE)


def picture(path, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.RandomState(len(path.name)).randint(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


def label(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(path)


def palette(path, ids):
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.palette_png(path, ids.astype(np.uint8))


def matlab(path, **variables):
    scipy = pytest.importorskip('scipy.io')
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.savemat(path, variables, do_compression=True)


def converted(dataset, root, splits=()):
    """Manifests, and labels by split and name."""
    output = root / 'records'
    manifests = convert(dataset, root, output, splits, workers=1)
    found = {}
    for split in manifests:
        batches = drawn.batches(lambda split=split: eval_dataset(
            index_records(output, split, dataset), ignore_label=dataset.ignore_label))
        found[split] = {features['filename'][0].decode(): label[0] for features, label in batches}
    return manifests, found


def colored(dataset, ids):
    return np.asarray(dataset.palette, np.uint8)[ids]

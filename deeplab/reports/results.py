"""Results as evaluate.py wrote them: of a folder, or those that come with this checkout. Imports no TensorFlow."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from console import checkout
from datasets import row as datasets
from deeplab.recipes import recipe as recipes
from deeplab.reports.scope import split_images


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


@functools.cache  # every row asks for them
def shipped() -> tuple[Mapping[str, Any], ...]:
    """The results of this checkout's own `results/`; an installation has none."""
    folder = checkout.ROOT / 'results' if checkout.ROOT else None
    return tuple(load(folder)) if folder and any(folder.glob('*.json')) else ()

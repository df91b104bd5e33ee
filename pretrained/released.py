"""Checkpoints by the name that the catalog has for them: `catalog:NAME`, once pretrained.fetch has put them there."""

import json
from pathlib import Path

from pretrained import catalog, restore
from pretrained.catalog import PREFIX, WEIGHTS


def locate(source: str | Path, folder: Path = WEIGHTS) -> str:
    """The prefix of a checkpoint given by path, or as `catalog:NAME`.

    Raises:
      ValueError: there is none; of a catalog entry that wasn't fetched, says the command that does.
    """
    if not str(source).startswith(PREFIX):
        return restore.locate(source)
    name = catalog.find(str(source).removeprefix(PREFIX), catalog.load()).name
    record = folder / f'{name}.json'
    if not record.is_file():
        raise ValueError(f'{source} is not in {folder}: run `python -m pretrained.fetch {name}`, or give the path of '
                         f'the checkpoint')
    return restore.locate(folder / name / json.loads(record.read_text(encoding='utf8'))['checkpoint'])


def measured_by(recipe: str) -> str | None:
    """The released checkpoint, as `catalog:NAME`, whose published figure the recipe of that name measures."""
    return next((PREFIX + name for name, entry in catalog.load().items()
                 if any(figure.recipe == recipe for figure in entry.figures)), None)

"""Predictions as benchmark servers take them: names, ids and the archive.

- voc: palette PNGs results/VOC2012/Segmentation/comp6_test_cls/ID.png in a .tgz whose root is `results` (VOC2012
  development kit, section 5.3; comp6 is the competition that allows any training data).
- cityscapes: PNGs of label ids, not train ids, named CITY_SEQUENCE_FRAME*.png, in a .zip (cityscapesScripts,
  evalPixelLevelSemanticLabeling.py).
- ade20k: PNGs of ids 1..150, named as their images, in a .zip (CSAILVision/sceneparsing, README).
"""

import re
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from console import choices
from console.files import whole
from datasets.raw import labels
from datasets.row import Dataset
from deeplab.summaries import palette_table
from deeplab.trained import infer
from deeplab.trained.checkpointed import Trained


@dataclass(frozen=True)
class Rules:
    """`image` is what file names of images must be, without their suffix; its group 'id' fills `target`."""

    datasets: tuple[str, ...]
    image: str
    example: str
    target: str
    archive: str
    has_palette: bool = False


RULES = {
    'voc': Rules(('voc2012',), r'(?P<id>\d{4}_\d{6})', '2008_000006',
                 'results/VOC2012/Segmentation/comp6_test_cls/{id}.png', 'voc.tgz', has_palette=True),
    'cityscapes': Rules(('cityscapes',), r'(?P<id>[a-z-]+_\d{6}_\d{6})(_leftImg8bit)?',
                        'berlin_000000_000019_leftImg8bit', '{id}_labelIds.png', 'cityscapes.zip'),
    'ade20k': Rules(('ade20k', 'ade20k_150'), r'(?P<id>ADE_(test|val)_\d{8})', 'ADE_test_00000001', '{id}.png',
                    'ade20k.zip'),
}


def choose(name: str, dataset: Dataset) -> Rules:
    """The rules of a benchmark; ValueError where the model's classes aren't its."""
    rules = choices.choose('--submission', name, RULES)
    if dataset.name not in rules.datasets:
        raise ValueError(f'--submission {name} needs a model of {" or ".join(rules.datasets)}; this one has the '
                         f'classes of {dataset.name}')
    return rules


def targets(rules: Rules, images: Sequence[Path], folder: Path) -> dict[Path, Path]:
    """{image: PNG below folder}; ValueError for an image that isn't named as the benchmark's are."""
    found = {}
    for path in images:
        named = re.fullmatch(rules.image, path.stem)
        if not named:
            raise ValueError(f'{path} is no image of the benchmark: their names are like {rules.example}')
        found[path] = folder / rules.target.format(id=named['id'])
    if len(set(found.values())) < len(found):
        raise ValueError('two images would be the same file of the submission; give each image once')
    return found


def picture(rules: Rules, ids: np.ndarray, dataset: Dataset, palette: np.ndarray) -> Image.Image:
    """The PNG of predicted class ids uint8 [H,W], in the ids that the benchmark scores."""
    found = Image.fromarray(labels.to_raw(ids, dataset).astype(np.uint8))
    if rules.has_palette:
        found.putpalette(palette.tobytes())
    return found


def plan(rules: Rules, sources: Sequence[infer.Source], folder: Path, overwrite: bool) -> dict[infer.Source, Path]:
    """{source: PNG below folder}; ValueError as in `targets`, and where a file would be replaced unasked."""
    files = targets(rules, [source.path for source in sources], folder)
    infer.refuse_replacing(sources, [*files.values(), folder / rules.archive], overwrite)
    return {source: files[source.path] for source in sources}


def write(model: Trained, rules: Rules, files: Mapping[infer.Source, Path], folder: Path
          ) -> tuple[Path | None, list[infer.Failure]]:
    """(the archive, failures): writes what `plan` says, and packs it when every source could be predicted."""
    dataset = model.run.dataset
    palette = palette_table(dataset.palette)
    failures = infer.infer_each(model, list(files), lambda source, ids, _: infer.save(
        picture(rules, ids, dataset, palette), files[source]))
    return None if failures else archive(rules, list(files.values()), folder), failures


def archive(rules: Rules, files: Sequence[Path], folder: Path) -> Path:
    """Packs files below folder into its archive, named relative to it; replaces an archive that exists."""
    packed = folder / rules.archive
    names = [path.relative_to(folder).as_posix() for path in sorted(files)]
    with whole(packed) as aside:
        if packed.suffix == '.tgz':
            # By its own name, which gzip stores.
            with aside.open('wb') as file, tarfile.open(packed, 'w:gz', fileobj=file) as tar:
                for name in names:
                    tar.add(folder / name, name)
        else:
            with zipfile.ZipFile(aside, 'w', zipfile.ZIP_STORED) as zipped:  # PNGs are compressed
                for name in names:
                    zipped.write(folder / name, name)
    return packed

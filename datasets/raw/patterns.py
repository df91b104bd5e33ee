"""Layouts without lists: files are found by a path template, and paired by the parts of their names that it captures.

In a template '{split}' is the split's folder and any other '{field}' stands for some of one name: with
'images/{city}/{id}_rgb.png' the file images/ulm/7_rgb.png has city 'ulm' and id '7'. An image and a label are a pair
when all fields that both templates have are equal.
"""

import glob
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import NamedTuple

from datasets.raw.pairs import Pair, Problem
from datasets.row import Dataset

# The fields of a file's name, and its path.
Found = tuple[dict[str, str], Path]


class Side(NamedTuple):
    """The images or the labels of a split: a template below a root, and the (fields, path) of each file, by path."""

    root: Path
    template: str
    files: list[Found]

    def expected(self, fields: dict[str, str]) -> Path:
        """Where a file with these fields would be, '*' for a field that isn't among them."""
        return self.root / self.template.format_map(defaultdict(lambda: '*', fields))


def candidates(dataset: Dataset, raw_dir: Path, split: str) -> list[str]:
    """The patterns at which the split's images are looked for."""
    return [str(Side(raw_dir / root, template, []).expected({'split': dataset.folder(split)}))
            for root in dataset.layout.roots for template in dataset.templates(split)[0]]


def locate(dataset: Dataset, raw_dir: Path, split: str) -> tuple[Side, Side] | None:
    """The images and labels below the first root that has any of the two."""
    for root in dataset.layout.roots:
        images, labels = (_side(raw_dir / root, templates, dataset.folder(split))
                          for templates in dataset.templates(split))
        if images.files or labels.files:
            return images, labels
    return None


def pairs(dataset: Dataset, split: str, found: tuple[Side, Side]) -> tuple[list[Pair], list[Problem]]:
    """Pairs in the order of their images' paths, and every file of either side that can't be paired."""
    images, labels = found
    for side, other in ((images, labels), (labels, images)):
        if not side.files:
            nothing = side.expected({'split': dataset.folder(split)})
            raise ValueError(f'{nothing} matches nothing, but there are {len(other.files)} files for it to pair with, '
                             f'such as {other.files[0][1]}')
    common = _common_fields(dataset, images.template, labels.template)
    (image_of, image_problems), (label_of, label_problems) = (_by_key(side, common) for side in found)
    made, problems = [], [*image_problems, *label_problems]
    for key, (fields, path) in image_of.items():
        if key in label_of:
            made.append(Pair(fields['id'], path, label_of[key][1]))
        else:
            problems.append(Problem(path, f'has no label {labels.expected(fields)}'))
    problems += [Problem(path, f'has no image {images.expected(fields)}')
                 for key, (fields, path) in label_of.items() if key not in image_of]
    return made, problems + _unknown_classes(dataset, labels) + _repeated(made)


def _unknown_classes(dataset: Dataset, labels: Side) -> list[Problem]:
    """Masks of classes that the row doesn't have, whose pixels would be ignored without a word."""
    found = {fields['class'] for fields, _ in labels.files if 'class' in fields}
    return [Problem(labels.expected({'class': name}), f'is of class {name!r}, which {dataset.name} has not')
            for name in sorted(found - set(dataset.class_names))]


def _side(root: Path, templates: tuple[str, ...], folder: str) -> Side:
    """The files of the first template that has some."""
    side = Side(root, '', [])
    for template in templates:
        side = Side(root, template, list(_matches(root, template, folder)))
        if side.files:
            break
    return side


def _matches(root: Path, template: str, folder: str) -> Iterator[Found]:
    """(fields, path) of every file, by name: strings sort twenty times faster than paths."""
    wildcard, expression, known = '', '', {'split'}
    for literal, field, _, _ in Formatter().parse(template):
        text = literal + (folder if field == 'split' else '')
        wildcard, expression = wildcard + glob.escape(text), expression + re.escape(text)
        if field and field != 'split':
            wildcard += '*'
            expression += f'(?P={field})' if field in known else f'(?P<{field}>[^/]+)'
            known.add(field)
    # glob leaves hidden files out, such as the '._name' that macOS adds to archives.
    for name in sorted(glob.iglob(wildcard, root_dir=root)):
        match = re.fullmatch(expression, name)
        if match:
            fields = {'split': folder, **match.groupdict()}
            # The files of all classes are one label, whose path keeps the field.
            yield fields, root / (template.format_map(fields | {'class': '{class}'}) if 'class' in fields else name)


def _common_fields(dataset: Dataset, *templates: str) -> list[str]:
    fields = [{field for _, field, _, _ in Formatter().parse(template) if field} for template in templates]
    common = sorted(set.intersection(*fields))
    if 'id' not in common:
        raise ValueError(f'{dataset.name} pairs by name: {" and ".join(templates)} must both have an {{id}}')
    return common


def _by_key(side: Side, common: list[str]) -> tuple[dict[tuple[str, ...], Found], list[Problem]]:
    by_key: dict[tuple[str, ...], Found] = {}
    problems = []
    for fields, path in side.files:
        key = tuple(fields[name] for name in common)
        if key in by_key and by_key[key][1] != path:
            problems.append(Problem(path, f'pairs with the same file as {by_key[key][1]}'))
        by_key.setdefault(key, (fields, path))
    return by_key, problems


def _repeated(made: list[Pair]) -> list[Problem]:
    first: dict[str, Path] = {}
    problems = []
    for pair in made:
        if first.setdefault(pair.id, pair.image) != pair.image:
            problems.append(Problem(pair.image, f'has the id {pair.id!r} of {first[pair.id]}'))
    return problems

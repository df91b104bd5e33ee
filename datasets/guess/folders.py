"""Guesses where a folder's images and masks are, and how their names pair; `datasets.new` lets the user correct it."""

import functools
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from datasets.guess import values
from datasets.raw import images, labels

SUFFIXES = ('.bmp', '.gif', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')
LABEL_WORDS = re.compile(r'mask|label|annot|seg|gt|ground|target|profile', re.IGNORECASE)
IMAGE_WORDS = re.compile(r'im(age|g)|photo|picture|jpe?g|rgb|input', re.IGNORECASE)
SPLIT_WORDS = re.compile(r'(?:^|[/_\-. ])(trainval|train(?:ing)?|val(?:id(?:ation)?)?|test(?:ing)?)', re.IGNORECASE)
SPLITS = {'training': 'train', 'valid': 'val', 'validation': 'val', 'testing': 'test'}
TOKEN = re.compile(r'[_\-.]([A-Za-z][A-Za-z0-9]*)$')
LOOKED_AT = 3
FEW_VALUES = 64


class Group(NamedTuple):
    """Files of one kind below a root: a folder ('{folder}' for one of several, '{class}' for each), and their names."""

    folder: str
    names: tuple[str, ...]
    classes: tuple[str, ...] = ()

    @property
    def split(self) -> str:
        """'train', 'val', 'test' or 'trainval', '' when the folder's name doesn't tell."""
        found = SPLIT_WORDS.findall(self.folder)
        return SPLITS.get(found[-1].lower(), found[-1].lower()) if found else ''


class Match(NamedTuple):
    """An image group and a label group with templates that pair them, and how many pairs there are."""

    image: Group
    label: Group
    image_template: str
    label_template: str
    pairs: int


def groups(root: Path) -> list[Group]:
    """All image files below root, by folder and by what their names end in."""
    return _with_siblings([Group(folder, tuple(part)) for folder, names in _walk(root) for part in _parts(names)])


def _walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """(folder relative to root, its image files), each real folder once: symbolic links may form loops."""
    seen = set()
    for folder, below, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in seen:
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        below[:] = sorted(name for name in below if not name.startswith('.'))
        found = sorted(name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith('.'))
        if found:
            yield Path(folder).relative_to(root).as_posix(), found


def _parts(names: Sequence[str]) -> list[list[str]]:
    """Names parted by their last word ('_mask', '_labelIds') and, where stems repeat, by suffix."""
    words = Counter(_word(name) for name in names)
    by_word: dict[str, list[str]] = {}
    for name in names:
        word = _word(name)
        by_word.setdefault(word if words[word] >= max(2, len(names) / 6) else '', []).append(name)
    parts: list[list[str]] = []
    for some in by_word.values():
        by_suffix: dict[str, list[str]] = {}
        for name in some:
            by_suffix.setdefault(os.path.splitext(name)[1], []).append(name)
        repeated = len({os.path.splitext(name)[0] for name in some}) < len(some)
        parts += by_suffix.values() if repeated else [some]
    return parts


def _word(name: str) -> str:
    match = TOKEN.search(os.path.splitext(name)[0])
    return match[1] if match else ''


def _with_siblings(found: list[Group]) -> list[Group]:
    """Joins the groups of folders side by side that share no names, as Cityscapes has one for each city."""
    joined: dict[tuple[str, str], list[Group]] = {}
    for group in found:
        parent, _, last = group.folder.rpartition('/')
        plain = parent and not (SPLIT_WORDS.search(last) or LABEL_WORDS.search(last) or IMAGE_WORDS.search(last))
        key = (parent, _word(group.names[0])) if plain else (group.folder, group.names[0])
        joined.setdefault(key, []).append(group)
    result = []
    for (parent, _), some in joined.items():
        stems = [os.path.splitext(name)[0] for group in some for name in group.names]
        if len(some) > 1 and len(set(stems)) == len(stems):
            names = tuple(f'{group.folder.rpartition("/")[2]}/{name}' for group in some for name in group.names)
            result.append(Group(f'{parent}/{{folder}}', names))
        else:
            result += some
    return result


def is_label(root: Path, group: Group) -> bool:
    """By the nearest folder whose name tells, then by the names, then by whether pixels have few values."""
    for part in reversed(group.folder.split('/')):
        told = bool(LABEL_WORDS.search(part)), bool(IMAGE_WORDS.search(part))
        if any(told):
            return told[0]
    if LABEL_WORDS.fullmatch(re.sub('s$', '', _word(group.names[0]))):
        return True
    return all(_has_few_values(root / path_of(group, name)) for name in group.names[:LOOKED_AT])


def one_hot(root: Path, found: Sequence[Group]) -> list[Group]:
    """The label groups with folders side by side, of masks of two values and with the same names, joined as classes."""
    by_parent: dict[str, list[Group]] = {}
    for group in found:
        by_parent.setdefault(group.folder.rpartition('/')[0], []).append(group)
    result = []
    for parent, some in by_parent.items():
        names = [name for group in some for name in group.names]
        repeated = len(set(names)) < len(names)
        if parent and len(some) > 1 and repeated and all(map(functools.partial(_is_binary, root), some)):
            result.append(Group(f'{parent}/{{class}}', tuple(sorted(set(names))),
                                tuple(group.folder.rpartition('/')[2] for group in some)))
        else:
            result += some
    return result


def _is_binary(root: Path, group: Group) -> bool:
    looked = [values.look(root / path_of(group, name)) for name in group.names[:LOOKED_AT]]
    return all(isinstance(mask, values.Mask) and len(mask.pixels) <= 2 for mask in looked)


def path_of(group: Group, name: str) -> str:
    """A file relative to the root."""
    folder = group.folder.removesuffix('/{folder}')
    return f'{folder.replace("{class}", group.classes[0]) if group.classes else folder}/{name}'


def _has_few_values(path: Path) -> bool:
    try:
        with images.opened(path) as (image, data):
            if image.mode in labels.INDEX_MODES and image.mode != 'L':
                return True
            images.load(image, data)
            return image.convert('RGB').getcolors(FEW_VALUES) is not None
    except (ValueError, OSError):
        return False


def match(image: Group, label: Group) -> Match:
    """The two templates that pair most names, with the least taken off the names."""
    best = Match(image, label, '', '', 0)
    for image_start, image_end in _affixes(image.names):
        ids = _ids(image.names, image_start, image_end)
        for label_start, label_end in _affixes(label.names):
            pairs = len(ids & _ids(label.names, label_start, label_end))
            if pairs > best.pairs:
                best = Match(image, label, _template(image, image_start, image_end),
                             _template(label, label_start, label_end), pairs)
    return best


def _affixes(names: Sequence[str]) -> list[tuple[str, str]]:
    """What may stand before and after the id: nothing, the common end of the names, their common start as well."""
    stems = [os.path.splitext(os.path.basename(name))[0] for name in names]
    end = re.sub(r'^[^_\-. ]+', '', os.path.commonprefix([stem[::-1] for stem in stems])[::-1])
    start = re.sub(r'[^_\-. ]+$', '', os.path.commonprefix(stems))
    return list(dict.fromkeys([('', ''), ('', end), (start, ''), (start, end)]))


def _ids(names: Sequence[str], start: str, end: str) -> set[str]:
    found = set()
    for name in names:
        folder, base = os.path.split(name)
        stem = os.path.splitext(base)[0]
        if stem.startswith(start) and stem.endswith(end) and len(stem) > len(start) + len(end):
            found.add(f'{folder}/{stem[len(start):len(stem) - len(end)]}')
    return found


def _template(group: Group, start: str, end: str) -> str:
    suffixes = {os.path.splitext(name)[1] for name in group.names}
    suffix = suffixes.pop() if len(suffixes) == 1 else '.{ext}'
    folder = '' if group.folder == '.' else '/'.join(
        part if part in ('{folder}', '{class}') else _escaped(part) for part in group.folder.split('/')) + '/'
    return f'{folder}{_escaped(start)}{{id}}{_escaped(end)}{suffix}'


def _escaped(text: str) -> str:
    return text.replace('{', '{{').replace('}', '}}')

"""Guesses classes, background and void from the values that masks hold."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datasets.guess.values import Color, Values
from datasets.look.sources import made_up_colors

VOID = 255
VOID_COLORS = ((255, 255, 255), (224, 224, 192))
NAME_FILES = ('classes.txt', 'labels.txt', 'class_names.txt', 'names.txt', 'labelmap.txt', 'class_dict.csv')
NAMED_COLOR = re.compile(r'\s*([^,:]+?)\s*[,:]\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)')
MOST = 255


@dataclass
class Choice:
    """Classes (name, colour), raw id -> class id where they differ, what labels hold, and what is unsure."""

    entries: list[tuple[str, Color]]
    ids: dict[int, int] = field(default_factory=dict)
    labels: str = 'ids'
    void_color: Color | None = None
    unsure: list[str] = field(default_factory=list)


def names_below(root: Path) -> dict[int | Color, str]:
    """Names by id or by colour, from a list such as classes.txt or labelmap.txt in the folder; {} without one."""
    for name in NAME_FILES:
        path = root / name
        if path.is_file():
            lines = [line.strip() for line in path.read_text(encoding='utf-8-sig', errors='replace').splitlines()]
            lines = [line for line in lines if line and not line.startswith('#')]
            matches = [match for line in lines if (match := NAMED_COLOR.match(line))]
            found: dict[int | Color, str] = {
                (int(match[2]), int(match[3]), int(match[4])): match[1] for match in matches}
            return found or dict(enumerate(lines))
    return {}


def choose(values: Values, names: dict[int | Color, str]) -> Choice:
    """The classes of all values found; ValueError when they can't be a dataset of at most 255 classes."""
    if values.ids and values.colors:
        raise ValueError(f'some masks hold ids ({values.ids[:5]}...), others colours ({values.colors[:5]}...): convert '
                         'them to one kind')
    choice = _of_colors(values, names) if values.colors else _of_ids(values, names)
    if len(choice.entries) > MOST:
        raise ValueError(f'the masks hold {len(choice.entries)} values, more than {MOST} classes: these are not class '
                         'masks (instances, or smoothed colours?)')
    if not names:
        choice.unsure.append('names: made up; put them into the row, or one a line into classes.txt in the folder')
    return choice


def one_hot(names: Sequence[str]) -> Choice:
    """The classes of folders of binary masks, whose names they are."""
    unsure = [f'one folder of masks for each of {len(names)} classes']
    if 'background' not in names:
        names = ['background', *names]
        unsure.append('background: added for pixels in no mask; without it in the row they are ignored')
    return Choice(list(zip(names, made_up_colors(len(names)), strict=True)), labels='one_hot', unsure=unsure)


def _of_ids(values: Values, names: dict) -> Choice:
    ids = values.ids
    palette = values.palette if any(any(color) for color in values.palette.values()) else {}
    void = VOID in ids and ids != [0, VOID] and len(ids) > 1
    classes = [label for label in ids if not (void and label == VOID)]
    unsure = []
    if void:
        unsure.append(f'void: id {VOID} is taken as ignored')
    elif ids == [0, VOID]:
        unsure.append(f'void: masks hold 0 and {VOID} only, so {VOID} is taken as a class and not as ignored')
    else:
        unsure.append(f'void: no id {VOID}, so every id is taken as a class')
    if classes[-1] < max(2 * len(classes), len(names)) and classes[-1] < MOST:
        highest = max(classes[-1], len(names) - 1)
        absent = [label for label in range(highest + 1) if label not in classes]
        if absent:
            unsure.append(f'ids {absent[:20]} occur in no mask; kept as classes because others are above')
        classes, mapping = list(range(highest + 1)), {}
    else:
        mapping = {raw: label for label, raw in enumerate(classes)} | ({VOID: VOID} if void else {})
        unsure.append(f'ids {classes[:20]} have gaps: they become classes 0 to {len(classes) - 1} ([ids] in the row)')
    colors = made_up_colors(min(len(classes), 256))
    entries = [(names.get(raw, names.get(palette.get(raw), _name(label, raw, values))), palette.get(raw, color))
               for label, (raw, color) in enumerate(zip(classes, colors, strict=False))]
    if len(classes) > len(entries):
        raise ValueError(f'the masks hold {len(classes)} ids, more than {MOST} classes: these are not class masks')
    return Choice(entries, mapping, unsure=unsure + _background(values, classes[0]))


def _of_colors(values: Values, names: dict) -> Choice:
    colors = values.colors
    void = next((color for color in VOID_COLORS if color in colors and len(colors) > 2 and color not in names), None)
    classes = [*(color for color in names if isinstance(color, tuple) and color != void),
               *(color for color in colors if color != void and color not in names)]
    unsure = [f'void: colour {void} is taken as ignored' if void else 'void: every colour is taken as a class']
    rare = [color for color in colors if values.pixels[color] < sum(values.pixels.values()) / 1e5]
    if rare:
        unsure.append(f'colours {rare[:10]} are very rare: smoothed edges rather than classes?')
    entries = [(names.get(color, names.get(label, _name(label, color, values))), color)
               for label, color in enumerate(classes)]
    return Choice(entries, {}, 'colors', void, unsure + _background(values, classes[0]))


def _name(label: int, value: int | Color, values: Values) -> str:
    return 'background' if _is_background(values, value) else f'class_{label}'


def _background(values: Values, value: int | Color) -> list[str]:
    if _is_background(values, value):
        return [f'background: {value} is taken as it, the most frequent']
    return [f'background: {value} comes first but is not the most frequent']


def _is_background(values: Values, value: int | Color) -> bool:
    return value in (0, (0, 0, 0)) and values.pixels[value] == max(values.pixels.values())

"""The TOML text of a row."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from console.files import write_whole
from datasets.guess.classes import VOID, Choice
from datasets.guess.folders import Match


def row(root: Path, splits: Mapping[str, Match], choice: Choice, unsure: Sequence[str],
        counts: Mapping[str, int] | None = None) -> str:
    """A row that `registry.load` accepts; the numbers of images are those that were found."""
    name = os.path.basename(os.path.abspath(root))
    lines = [f'# Written by `python -m datasets.new` for {_comment(str(root))}. Guessed, so look at it:']
    lines += [f'# - {_comment(line)}' for line in unsure]
    lines += [f'title = {_quoted(name)}', f'url = {_quoted(str(root))}', "licence = 'unknown'",
              f'ignore_label = {VOID}', 'classes = [']
    lines += [f'  {{ name = {_quoted(label)}, color = {list(color)} }},' for label, color in choice.entries]
    lines += [']']
    if choice.labels != 'ids':
        lines.append(f'labels = {_quoted(choice.labels)}')
    if choice.void_color:
        lines.append(f'ignore_colors = [{list(choice.void_color)}]')
    lines.append('')
    if choice.ids:
        lines += ['# Id in the mask files -> class id; 255 is ignored.', '[ids]']
        lines += [f'{raw} = {label}' for raw, label in choice.ids.items()] + ['']
    lines += ['[layout]', "kind = 'pattern'", '']
    for split, match in splits.items():
        lines += [f'[splits.{split}]', f'num_images = {(counts or {}).get(split, match.pairs)}',
                  f'image = [{_quoted(match.image_template)}]', f'label = [{_quoted(match.label_template)}]', '']
    return '\n'.join(lines)


def write(path: Path, text: str) -> None:
    """ValueError for file names that no text file can hold."""
    try:
        write_whole(path, text)
    except UnicodeEncodeError as error:
        raise ValueError(f'{path}: a file or folder has a name that is not UTF-8: rename it') from error


def _quoted(text: str) -> str:
    """A TOML basic string; JSON's escapes are among TOML's."""
    return json.dumps(text, ensure_ascii=False).replace('\x7f', '\\u007f')


def _comment(text: str) -> str:
    return ' '.join(text.split())

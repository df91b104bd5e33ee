"""Choices by name: what an error says when somebody names another."""

import difflib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

# More choices than these aren't read in an error message; a few show what they look like.
MANY = 30
FEW = 8


def choose(what: str, name: Any, choices: Collection[Any], hint: str = '') -> Any:
    """The value of that name where `choices` is a mapping, else the name itself.

    ValueError, such as "train.clip = 'x' is unknown; choices: a, b", when it is none of them; `hint` stands behind it
    and says how to list them all or what may be given instead of a name.
    """
    if name not in list(choices):  # a list, since what a file holds need not be hashable
        raise ValueError(f'{what} = {_short(name)} is unknown; {nearest(name, choices, hint)}')
    return choices[name] if isinstance(choices, Mapping) else name


def refuse_unknown(what: str, names: Iterable[Any], known: Collection[Any], hint: str = '') -> None:
    """ValueError, such as "unknown key 'colour'; did you mean color?", for the first of `names` that isn't known."""
    for name in names:
        if name not in list(known):
            raise ValueError(f'unknown {what} {_short(name)}; {nearest(name, known, hint)}')


def nearest(word: Any, choices: Iterable[Any], hint: str = '') -> str:
    """What an error message says of the choices: those that are nearly the word, and all unless they are many."""
    choices = list(map(str, choices))
    likely = close(word, choices)
    said = [f'did you mean {" or ".join(likely)}?'] if likely else []
    if len(choices) <= (FEW if likely else MANY):
        said.append(f'choices: {", ".join(choices) or "none"}')
    elif not likely:
        said.append(f'choices: {", ".join(choices[:FEW])} and {len(choices) - FEW} more')
    return ' '.join([*said, f'({hint})'] if hint else said)


def close(word: Any, choices: Iterable[str]) -> list[str]:
    """Up to three of the choices that are nearly the word, the nearest first."""
    return difflib.get_close_matches(str(word), choices, n=3, cutoff=0.5)


def _short(name: Any) -> str:
    """A name as an error quotes it; files of others may hold anything in its place."""
    text = repr(name)
    return text if len(text) <= 80 else f'{text[:77]}...'

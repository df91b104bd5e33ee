"""Choices by name: what an error says when somebody names another."""

import difflib
from collections.abc import Iterable


def nearest(word: str, choices: Iterable[str]) -> str:
    """The choices for an error message, the likeliest first when the word is nearly one of them."""
    choices = list(choices)
    close = difflib.get_close_matches(word, choices, n=3, cutoff=0.5)
    return f'did you mean {" or ".join(close)}?' if close else f'choices: {", ".join(choices)}'

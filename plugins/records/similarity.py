"""The name that somebody may have meant, found as PostgREST finds it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

SURE = 0.75
"""The likeness from which on PostgREST names a table or a function that somebody may not know of."""

_COMPARED = 50
"""How many names that share most with the one asked for are compared with it letter by letter."""


def nearest(name: str, names: Iterable[str], least: float = 0.33) -> str | None:
    """Return the one of `names` that is most like `name`, by a likeness of `least` (of 1) or more; else None.

    Case does not matter. Likeness is one less the edit distance in proportion to the longer name; names that do not
    share three letters in a row (one end counts as a letter) are not considered unless none does, then two.
    """
    by_key = {each.lower(): each for each in names}
    wanted = name.lower()
    if wanted in by_key:
        return by_key[wanted]
    for size in (3, 2):
        grams = _grams(wanted, size)
        shared = {key: _cosine(grams, _grams(key, size)) for key in by_key}
        candidates = sorted((key for key in shared if shared[key] > 0), key=lambda key: (-shared[key], key))
        scored = [(_likeness(wanted, key), key) for key in candidates[:_COMPARED]]
        good = [pair for pair in scored if pair[0] >= least]
        if good:
            return by_key[max(good, key=lambda pair: pair[0])[1]]
    return None


def _grams(name: str, size: int) -> Counter[str]:
    word = "".join(letter for letter in name if letter.isalnum() or letter.isspace() or letter == ",")
    text = f"-{word}-"
    return Counter(text[start : start + size] for start in range(len(text) - size + 1))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    common = sum(count * other[gram] for gram, count in one.items())
    return common / (_norm(one) * _norm(other)) if common else 0.0


def _norm(grams: Counter[str]) -> float:
    return math.sqrt(sum(count * count for count in grams.values()))


def _likeness(one: str, other: str) -> float:
    return 1 - _distance(one, other) / max(len(one), len(other))


def _distance(one: str, other: str) -> int:
    """Return how many letters must be put in, taken out or changed to make `other` of `one`."""
    previous = list(range(len(other) + 1))
    for row, letter in enumerate(one, 1):
        current = [row]
        for column, other_letter in enumerate(other, 1):
            changed = previous[column - 1] + (letter != other_letter)
            current.append(min(changed, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]

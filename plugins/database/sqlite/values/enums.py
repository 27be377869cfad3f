"""Values of enumerations: one of the labels, in the labels' order."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.nested import arrays


@functools.lru_cache(maxsize=256)
def _labels(text: str) -> frozenset[str]:
    return frozenset(msgspec.json.decode(text, type=list[str]))


def read(value: Any, name: str, labels: str) -> Any:
    """Check that a text is one of the labels, a JSON array; raises 22P02."""
    if value is None or value in _labels(labels):
        return value
    raise DatabaseError(f'invalid input value for enum {name}: "{value}"', sqlstate="22P02")


def read_array(value: Any, name: str, labels: str) -> str | None:
    """Read an array of labels."""
    return arrays.read(value, "text", lambda item: read(item, name, labels))


def comparison(labels: tuple[str, ...]) -> Callable[[str, str], int]:
    """Return what orders labels by their places; what is no label comes last."""
    places = {label: place for place, label in enumerate(labels)}
    last = len(labels)

    def compare(left: str, right: str) -> int:
        one, other = (places.get(left, last), left), (places.get(right, last), right)
        return (one > other) - (one < other)

    return compare

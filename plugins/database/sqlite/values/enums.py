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


def range_of(labels: str, low: str | None, high: str | None) -> str:
    """Return an array of the labels from one to another; None is the first or the last."""
    found: list[str] = msgspec.json.decode(labels)
    start = 0 if low is None else found.index(low)
    end = len(found) if high is None else found.index(high) + 1
    return msgspec.json.encode(found[start:end]).decode()


def comparison(labels: tuple[str, ...]) -> Callable[[str, str], int]:
    """Return what orders labels by their places; what is no label comes last."""
    places = {label: place for place, label in enumerate(labels)}
    last = len(labels)

    def compare(left: str, right: str) -> int:
        one, other = (places.get(left, last), left), (places.get(right, last), right)
        return (one > other) - (one < other)

    return compare

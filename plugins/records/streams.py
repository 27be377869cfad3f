"""Rows as a database finds them."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def begun(parts: Iterable[T]) -> Iterator[T]:
    """Return the same parts, the first of which has been drawn: what is wrong with the statement has shown by then."""
    iterator = iter(parts)
    first = next(iterator, None)
    return _resumed(first, iterator)


def _resumed(first: T | None, rest: Iterator[T]) -> Generator[T]:
    if first is not None:
        yield first
        yield from rest

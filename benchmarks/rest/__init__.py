"""The REST API under load: on SQLite beside PocketBase, and on both engines beside bare handlers with the same SQL."""

from __future__ import annotations

from benchmarks.load import Row
from benchmarks.rest import on_postgresql, on_sqlite


def measure() -> list[Row]:
    """Return the rows of the table of figures."""
    return [*on_sqlite.measure(), *on_postgresql.measure()]

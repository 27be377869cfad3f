"""What to try on a server: lines to copy that create a row and read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from shlex import quote
from urllib.parse import quote as percent

import msgspec

from kernel.contracts.catalogue import Table

_SAMPLES: dict[str, str | int | bool] = {
    "text": "Hello", "character varying": "Hello", "boolean": True,
    "smallint": 1, "integer": 1, "bigint": 1, "numeric": 1, "real": 1, "double precision": 1,
}  # fmt: skip


def commands(api: str, key: str, tables: Sequence[Table]) -> Iterator[str]:
    """Yield shell lines for one of the `tables`, if possible one that a row can be made up for; none without tables.

    `api` is the address under which the tables are, `key` an API key that may read and write them.
    """
    samples = {table.name: sample(table) for table in tables}
    # Those that a row can be made up for come first.
    for name in sorted(samples, key=lambda name: (samples[name] is None, name))[:1]:
        where = f"{api}/{percent(name, safe='')}"
        apikey = f"-H 'apikey: {key}'"
        row = samples[name]
        if row is not None:
            headers = "-H 'Content-Type: application/json' -H 'Prefer: return=representation'"
            yield f"curl {where} {apikey} {headers} -d {quote(msgspec.json.encode(row).decode())}"
        yield f"curl '{where}?limit=10' {apikey}"


def sample(table: Table) -> dict[str, str | int | bool] | None:
    """Make up a row with the columns that have to be given; None where that is not as simple as that."""
    required = [
        column
        for column in table.columns.values()
        if not (column.nullable or column.generated or column.identity or column.default is not None)
    ]
    if table.kind == "view" or table.foreign_keys or any(column.type not in _SAMPLES for column in required):
        return None
    return {column.name: _SAMPLES[column.type] for column in required}

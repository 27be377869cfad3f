"""Unique violations: SQLite names the columns; this finds the values, for PostgreSQL's detail line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import DatabaseError
from plugins.database.names import engine_name


def complete(
    error: DatabaseError,
    connection: apsw.Connection,
    catalogue: Catalogue,
    sql: str,
    params: Mapping[str, Any],
) -> None:
    """Give a unique violation the detail that names the key and its values."""
    table = catalogue.table(error.table or "", error.schema or "")
    if table is None:
        return
    index = next((index for index in table.indexes if index.name == error.constraint), None)
    row = _conflicting_row(connection, sql, params, table)
    if index is None or row is None or None in index.columns:
        return
    columns = [name for name in index.columns if name is not None]
    values = ", ".join(str(row[name]) for name in columns)
    error.detail = f"Key ({', '.join(columns)})=({values}) already exists."


def _conflicting_row(
    connection: apsw.Connection, sql: str, params: Mapping[str, Any], table: Table
) -> dict[str, Any] | None:
    """Return the row that stands in the way of `sql`, or None where it does not show.

    The transaction is lost anyway, so the statement runs once more as INSERT OR REPLACE: what SQLite would
    replace is the row looked for.
    """
    replacing = _replacing(sql)
    if replacing is None:
        return None
    name = engine_name(table.schema, table.name)
    found: list[tuple[Any, ...]] = []

    def watch(change: apsw.PreUpdate) -> None:
        if not found and change.op == "DELETE" and change.table_name == name and change.old is not None:
            found.append(tuple(change.old))

    connection.preupdate_hook(watch)
    try:
        connection.execute(replacing, params or None).fetchall()
    except apsw.Error:
        # A foreign key may forbid the replacing; the row has shown itself before that.
        pass
    finally:
        connection.preupdate_hook(None)
    if not found or len(found[0]) != len(table.columns):
        return None
    return dict(zip(table.columns, found[0], strict=True))


def _replacing(sql: str) -> str | None:
    for verb in ("INSERT INTO ", "UPDATE "):
        if sql.startswith(verb):
            first, rest = sql.split(" ", 1)
            return f"{first} OR REPLACE {rest}"
    return None

"""Violations of foreign keys, explained: SQLite keeps no record of which key it was, or of which row.

The transaction is lost anyway when a statement violates a key, so the statement runs once more with its checks put off
to a commit that will not come, and the rows that it changes are looked at: a look at whole tables takes too long.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import apsw

from kernel.contracts.catalogue import Catalogue, ForeignKey, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.errors import translate
from plugins.database.sqlite.names import engine_name, quote, rowid_of, split_name

_CHANGED = re.compile(r'(?:DELETE FROM|UPDATE) "((?:[^"]|"")+)"')

_Values = dict[str, Any]


class _Change(NamedTuple):
    """A row as it was, if it was there, and as it became, if it stayed, under its number."""

    table: Table
    old: _Values | None
    new: _Values | None
    rowid: int


def broken_reference(
    error: Exception, connection: apsw.Connection, catalogue: Catalogue, sql: str, params: Mapping[str, Any]
) -> DatabaseError:
    """Return an error that names the constraint `sql` violated: of the first row, the key that was made first.

    Where running it again fails as well, or takes too long, the error names no constraint.
    """
    unnamed = translate(error, catalogue)
    changes: list[_Change] = []
    try:
        connection.pragma("defer_foreign_keys", True)
        with _watched(connection, catalogue, changes):
            connection.execute(sql, params or None).fetchall()
        needing = _in_order(connection, catalogue)
        for change in changes:
            found = _still_needed(connection, needing, change) or _lacking(connection, change)
            if found is not None:
                return found
        return unnamed
    except (apsw.Error, DatabaseError, LookupError):
        return _restricted(catalogue, sql) or unnamed


@contextmanager
def _watched(connection: apsw.Connection, catalogue: Catalogue, changes: list[_Change]) -> Iterator[None]:
    """Collect the rows that change, also by other keys' actions, in the order in which they do."""

    def watch(update: apsw.PreUpdate) -> None:
        table = catalogue.tables.get(split_name(update.table_name))
        if table is None:
            return
        old, new = update.old, update.new
        if new is not None and old is not None:
            new = tuple(old[place] if one is apsw.no_change else one for place, one in enumerate(new))
        changes.append(_Change(table, _named(table, old), _named(table, new), update.rowid_new))

    connection.preupdate_hook(watch)
    try:
        yield
    finally:
        connection.preupdate_hook(None)


def _named(table: Table, row: tuple[Any, ...] | None) -> _Values | None:
    return None if row is None else dict(zip(table.columns, row, strict=False))


def _in_order(connection: apsw.Connection, catalogue: Catalogue) -> list[tuple[Table, ForeignKey]]:
    """Return all foreign keys in the order of their making: that of their tables, and in these their own."""
    made = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
    tables = (catalogue.tables.get(split_name(str(name))) for (name,) in made.fetchall())
    return [(table, key) for table in tables if table is not None for key in table.foreign_keys]


def _still_needed(
    connection: apsw.Connection, needing: list[tuple[Table, ForeignKey]], change: _Change
) -> DatabaseError | None:
    """Return the error for a row that is gone, or has another key now, while others reference it."""
    if change.old is None:
        return None
    for child, key in needing:
        if (key.referenced_schema, key.referenced_table) != (change.table.schema, change.table.name):
            continue
        values = [change.old[name] for name in key.referenced_columns]
        if None in values or (change.new and values == [change.new[name] for name in key.referenced_columns]):
            continue
        there = _exists(connection, change.table, key.referenced_columns, values)
        if not there and _exists(connection, child, key.columns, values):
            return _still_referenced(child, key, _shown(values))
    return None


def _lacking(connection: apsw.Connection, change: _Change) -> DatabaseError | None:
    """Return the error for a row that references one which is not there."""
    if change.new is None:
        return None
    for key in change.table.foreign_keys:
        values = [change.new[name] for name in key.columns]
        # Another row's action may have changed it once more, or taken it away.
        if None in values or list(_row(connection, change.table, change.rowid, key) or ()) != values:
            continue
        parent = engine_name(key.referenced_schema, key.referenced_table)
        if not _holds(connection, parent, key.referenced_columns, values):
            return _missing(change.table, key, _shown(values))
    return None


def _exists(connection: apsw.Connection, table: Table, columns: tuple[str, ...], values: list[Any]) -> bool:
    return _holds(connection, engine_name(table.schema, table.name), columns, values)


def _holds(connection: apsw.Connection, name: str, columns: tuple[str, ...], values: list[Any]) -> bool:
    condition = " AND ".join(f"{quote(column)} = ?" for column in columns)
    sql = f"SELECT 1 FROM {quote(name)} WHERE {condition} LIMIT 1"  # noqa: S608 - names are quoted
    return connection.execute(sql, values).fetchone() is not None


def _restricted(catalogue: Catalogue, sql: str) -> DatabaseError | None:
    """Return the error of the one key that restricts changes of the table: SQLite puts such a check not off."""
    match = _CHANGED.search(sql)
    if match is None:
        return None
    parent = split_name(match[1].replace('""', '"'))
    found = [
        (table, key)
        for table in catalogue.tables.values()
        for key in table.foreign_keys
        if (key.referenced_schema, key.referenced_table) == parent
        and "restrict" in (key.on_delete, key.on_update)
    ]
    if len(found) != 1:
        return None
    error = _still_referenced(*found[0], "")
    error.detail = None
    return error


def missing_row(row: tuple[Any, ...], connection: apsw.Connection, catalogue: Catalogue) -> DatabaseError:
    """Return the error for one row of ``PRAGMA foreign_key_check``."""
    child, rowid, parent, position = row
    try:
        table, key = _find(catalogue, child, connection, position)
    except LookupError:
        return DatabaseError(f'a row of "{child}" references a missing row of "{parent}"', sqlstate="23503")
    return _missing(table, key, _values(connection, table, rowid, key))


def _find(
    catalogue: Catalogue, child: str, connection: apsw.Connection, position: int
) -> tuple[Table, ForeignKey]:
    schema, name = split_name(child)
    table = catalogue.tables[schema, name]
    rows = connection.execute(f"PRAGMA foreign_key_list({quote(child)})").fetchall()
    columns = tuple(row[3] for row in rows if row[0] == position)
    key = next(key for key in table.foreign_keys if key.columns == columns)
    return table, key


def _values(connection: apsw.Connection, table: Table, rowid: int | None, key: ForeignKey) -> str | None:
    row = _row(connection, table, rowid, key)
    return None if row is None else _shown(row)


def _row(
    connection: apsw.Connection, table: Table, rowid: int | None, key: ForeignKey
) -> tuple[Any, ...] | None:
    if rowid is None:
        return None
    columns = ", ".join(quote(column) for column in key.columns)
    name = quote(engine_name(table.schema, table.name))
    sql = f"SELECT {columns} FROM {name} WHERE {rowid_of(table.columns)} = ?"  # noqa: S608 - names are quoted
    found: tuple[Any, ...] | None = connection.execute(sql, (rowid,)).fetchone()
    return found


def _shown(row: Iterable[Any]) -> str:
    return ", ".join("null" if value is None else str(value) for value in row)


def _missing(table: Table, key: ForeignKey, values: str | None) -> DatabaseError:
    detail = None
    if values is not None:
        detail = (
            f'Key ({", ".join(key.columns)})=({values}) is not present in table "{key.referenced_table}".'
        )
    return DatabaseError(
        f'insert or update on table "{table.name}" violates foreign key constraint "{key.name}"',
        sqlstate="23503",
        detail=detail,
        schema=table.schema,
        table=table.name,
        constraint=key.name,
    )


def _still_referenced(table: Table, key: ForeignKey, values: str) -> DatabaseError:
    columns = ", ".join(key.referenced_columns)
    return DatabaseError(
        f'update or delete on table "{key.referenced_table}" violates foreign key constraint "{key.name}" '
        f'on table "{table.name}"',
        sqlstate="23503",
        detail=f'Key ({columns})=({values}) is still referenced from table "{table.name}".',
        schema=table.schema,
        table=table.name,
        constraint=key.name,
    )

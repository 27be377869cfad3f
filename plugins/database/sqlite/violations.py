"""Violations of keys, explained: SQLite says too little about them, this finds out the rest.

The transaction is lost anyway when a statement violates a key, so the statement runs once more in a way that
shows what stands in its way: unique keys as INSERT OR REPLACE, foreign keys with their checks put off.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apsw
import msgspec

from kernel.contracts.catalogue import Catalogue, Index, Table
from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from plugins.database.sqlite.names import engine_name, split_name
from plugins.database.sqlite.statements import REBUILT, Plan
from plugins.database.sqlite.stored import FORMS, base_type, element_of


def keep_to_what_is_seen(error: DatabaseError, catalogue: Catalogue, role: str) -> None:
    """Take the values out of an error where a role may not see all rows and columns, as PostgreSQL does."""
    table = catalogue.table(error.table or "", error.schema or "public")
    known = catalogue.roles.get(role)
    if table is None or known is None:
        error.detail = None
        return
    hides = table.row_security and not known.bypasses_row_security
    if hides or not table.allows(catalogue.acting_as(role), "select"):
        error.detail = None


def name_the_key(
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
    removed, new = _conflicting_rows(connection, sql, params, table)
    index, row = _violated(connection, table, removed, new)
    if index is None:
        index = next((index for index in table.indexes if index.name == error.constraint), None)
        row = removed[0] if removed else None
    if index is None or row is None or None in index.columns:
        return
    error.constraint = index.name
    error.message = f'duplicate key value violates unique constraint "{index.name}"'
    columns = [name for name in index.columns if name is not None]
    values = ", ".join(str(row[name]) for name in columns)
    error.detail = f"Key ({', '.join(columns)})=({values}) already exists."


_Values = dict[str, Any]


def _violated(
    connection: apsw.Connection, table: Table, removed: list[_Values], new: _Values | None
) -> tuple[Index | None, _Values | None]:
    """Return the first key, in the order of their making, that a new row shares with one in its way."""
    for index in table.indexes if new is not None else ():
        if index.unique and None not in index.columns:
            for row in removed:
                if all(
                    name is not None
                    and new is not None
                    and _equal(connection, table.columns[name].type, row[name], new[name])
                    for name in index.columns
                ):
                    return index, row
    return None, None


def _equal(connection: apsw.Connection, kind: str, one: Any, other: Any) -> bool:
    """Tell whether two values are equal as their type has it: ``24:00:00`` is ``1 day``."""
    base = base_type(kind)
    form = FORMS.get(base)
    collation = form.collation if form is not None else "pg_array" if element_of(base) else None
    if one == other or collation is None or one is None or other is None:
        return one is not None and one == other
    row = connection.execute(f"SELECT ? = ? COLLATE {collation}", (one, other)).fetchone()
    return row is not None and bool(row[0])


def _conflicting_rows(
    connection: apsw.Connection, sql: str, params: Mapping[str, Any], table: Table
) -> tuple[list[_Values], _Values | None]:
    """Return the rows that stand in the way of the first row `sql` cannot write, and that row, where they show.

    The transaction is lost anyway, so the statement runs once more as INSERT OR REPLACE: what SQLite would
    replace are the rows looked for.
    """
    replacing = _replacing(sql)
    if replacing is None:
        return [], None
    name = engine_name(table.schema, table.name)
    removed: list[_Values] = []
    written: list[_Values] = []

    def values(row: tuple[Any, ...]) -> _Values:
        return dict(zip(table.columns, row, strict=True))

    def watch(change: apsw.PreUpdate) -> None:
        if written or change.table_name != name:
            return
        if change.op == "DELETE" and change.old is not None and len(change.old) == len(table.columns):
            removed.append(values(tuple(change.old)))
        elif removed and change.new is not None and len(change.new) == len(table.columns):
            old = change.old or ()
            new = [old[place] if one is apsw.no_change else one for place, one in enumerate(change.new)]
            written.append(values(tuple(new)))

    connection.preupdate_hook(watch)
    try:
        connection.execute(replacing, params or None).fetchall()
    except (apsw.Error, DatabaseError):
        # A foreign key or a policy may forbid the replacing; the row has shown itself before that.
        pass
    finally:
        connection.preupdate_hook(None)
    return removed, written[0] if written else None


def _replacing(sql: str) -> str | None:
    for verb in ("INSERT INTO ", "UPDATE "):
        if sql.startswith(verb):
            first, rest = sql.split(" ", 1)
            return f"{first} OR REPLACE {rest}"
    return None


def naming(plan: Plan, catalogue: Catalogue) -> Catalogue:
    """Return `catalogue` with the tables that a schema statement writes anew under their name meanwhile."""
    changed = {engine_name(change.schema, change.name): change.table for change in plan.changes}
    tables = dict(catalogue.tables)
    for rebuild in plan.rebuilds:
        table = changed.get(rebuild.table)
        if table is not None:
            tables[split_name(REBUILT)] = table
    return msgspec.structs.replace(catalogue, tables=tables)


def of_existing_rows(refusal: DatabaseError, error: Exception, plan: Plan) -> DatabaseError:
    """Return the refusal for rows that are there and do not fit what a schema statement makes of their table."""
    if isinstance(error, DatabaseError) or isinstance(refusal, DatabaseUnavailable):
        return refusal
    if refusal.message.startswith(("value for domain", "domain ")):
        return refusal
    if refusal.sqlstate == "23000" and plan.violation is not None:
        return plan.violation
    name = next(iter(plan.changes)).name if refusal.table == split_name(REBUILT)[1] else refusal.table
    messages = {
        "23502": f'column "{refusal.column}" of relation "{name}" contains null values',
        "23514": f'check constraint "{refusal.constraint}" of relation "{name}" is violated by some row',
        "23505": f'could not create unique index "{refusal.constraint}"',
    }
    return DatabaseError(
        messages.get(refusal.sqlstate, refusal.message),
        sqlstate=refusal.sqlstate,
        detail=refusal.detail,
        hint=refusal.hint,
        table=name,
        column=refusal.column,
        constraint=refusal.constraint,
    )

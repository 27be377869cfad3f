"""Writing tables anew within a transaction that has foreign keys off: rows, counters, indexes and triggers stay.

Source: "Making Other Kinds Of Table Schema Changes" in SQLite's page on ALTER TABLE.
"""

from __future__ import annotations

from typing import Any

import apsw

from plugins.database.sqlite.names import quote
from plugins.database.sqlite.statements import REBUILT, Rebuild


def run(connection: apsw.Connection, rebuild: Rebuild) -> None:
    """Put the new table in the place of the old one; raises apsw's error for rows that do not fit it."""
    old, new = quote(rebuild.table), quote(REBUILT)
    triggers: list[Any] = connection.execute(
        "SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?", (rebuild.table,)
    ).fetchall()
    connection.execute(rebuild.create)
    columns, values = ", ".join(rebuild.columns), ", ".join(rebuild.values)
    # Names are quoted, and the values come from the translator.
    source = f"SELECT {values or rebuild.rowid} FROM {old} ORDER BY {rebuild.rowid}"  # noqa: S608
    connection.execute(f"INSERT INTO {new} ({columns or 'rowid'}) {source}")
    if rebuild.numbered:
        _keep_counter(connection, rebuild.table)
    connection.execute(f"DROP TABLE {old}")
    # Or the renaming would look for the old table in views, and change the foreign keys that point at it.
    connection.pragma("legacy_alter_table", True)
    try:
        connection.execute(f"ALTER TABLE {new} RENAME TO {old}")
    finally:
        connection.pragma("legacy_alter_table", False)
    for statement in (*rebuild.indexes, *(sql for (sql,) in triggers)):
        connection.execute(statement)


def _keep_counter(connection: apsw.Connection, table: str) -> None:
    """Have the new table count on from the old one's last number, which may belong to a row that is gone."""
    found: Any = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()
    if found is None:
        return
    connection.execute("DELETE FROM sqlite_sequence WHERE name = ?", (REBUILT,))
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (REBUILT, found[0]))

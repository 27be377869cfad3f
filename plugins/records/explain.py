"""Says more of a violated unique constraint than a database can that has seen only JSON."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Table
from kernel.contracts.database import DatabaseError
from kernel.contracts.records import Insert

_decode = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


def explain(error: DatabaseError, insert: Insert, table: Table) -> None:
    """Give the error of a refused single row the key that was there already, in PostgreSQL's words."""
    if error.sqlstate != "23505" or insert.size != 1:
        return
    (row,) = _decode(insert.rows)
    columns = _columns(error.constraint, table)
    if columns and all(column in row for column in columns):
        values = ", ".join(_text(row[column]) for column in columns)
        error.detail = f"Key ({', '.join(columns)})=({values}) already exists."


def _columns(constraint: str | None, table: Table) -> list[str]:
    for index in table.indexes:
        if index.name == constraint:
            return [column for column in index.columns if column is not None]
    return list(table.primary_key) if constraint == f"{table.name}_pkey" else []


def _text(raw: msgspec.Raw) -> str:
    value = bytes(raw)
    return msgspec.json.decode(value, type=str) if value.startswith(b'"') else value.decode()

"""Names: PostgreSQL's schema and table as one SQLite name, and how names are quoted."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence

from kernel.contracts.database import DatabaseError

_LONGEST = 63
_MARK = "\x01"
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


def quote(name: str) -> str:
    """Return `name` as a quoted identifier."""
    return '"' + name.replace('"', '""') + '"'


def engine_name(schema: str, table: str) -> str:
    """Return a table's name in the file: ``auth.users``, or the bare name in ``public``."""
    return table if schema == "public" else f"{schema}.{table}"


def split_name(name: str) -> tuple[str, str]:
    """Return schema and table of a table's name in the file."""
    schema, dot, table = name.partition(".")
    return (schema, table) if dot else ("public", name)


def text_literal(value: str) -> str:
    """Return `value` as a SQL string."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return `name` as PostgreSQL writes it, in quotes only where it needs them."""
    return name if _PLAIN.fullmatch(name) else quote(name)


def told_apart(names: Sequence[str]) -> list[str]:
    """Return names of which no two are equal: those that are there more than once get marks that nobody can write.

    Raises `DatabaseError` (0A000) for names that differ in case only, which SQLite takes for equal.
    """
    cases: dict[str, str] = {}
    seen: dict[str, int] = {}
    found = []
    for name in names:
        if cases.setdefault(name.lower(), name) != name:
            message = f'columns "{cases[name.lower()]}" and "{name}" of one query are not supported on SQLite'
            raise DatabaseError(message, sqlstate="0A000", hint="Their names differ in case only.")
        seen[name] = seen.get(name, 0) + 1
        found.append(name + _MARK * seen[name] if names.count(name) > 1 else name)
    return found


def is_ambiguous(name: str, columns: Container[str]) -> bool:
    """Tell whether several of some columns that were told apart have a name."""
    return name + _MARK in columns


def without_mark(name: str) -> str:
    """Return a name as it was before it was told apart from others."""
    return name.rstrip(_MARK)


def rowid_of(columns: Iterable[str]) -> str:
    """Return a name for the number that SQLite gives every row, which no column of the table has taken."""
    taken = {column.lower() for column in columns}
    for name in ("rowid", "_rowid_", "oid"):
        if name not in taken:
            return name
    raise DatabaseError(
        "a table with columns named rowid, _rowid_ and oid is not supported on SQLite here", sqlstate="0A000"
    )


def object_name(parts: list[str], label: str) -> str:
    """Join a table's and its columns' names within PostgreSQL's limit, shortening the longer of the two."""
    table, columns = parts[0], "_".join(parts[1:])
    room = _LONGEST - len(label.encode()) - 1 - (1 if columns else 0)
    while len(table.encode()) + len(columns.encode()) > room:
        if len(table.encode()) > len(columns.encode()):
            table = table[:-1]
        else:
            columns = columns[:-1]
    return "_".join(part for part in (table, columns, label) if part)

"""Names: PostgreSQL's schema and table as one SQLite name, and how names are quoted."""

from __future__ import annotations


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

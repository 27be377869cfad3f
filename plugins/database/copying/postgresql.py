"""Rows in and out of a PostgreSQL database as text, by cursors and COPY."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import DatabaseError
from plugins.database.copying.copying import Cells
from plugins.database.postgresql.connections import reaching
from plugins.database.postgresql.database import PostgresDatabase

_ROWS_AT_ONCE = 2000
# What a value's text hangs on is not left to the server's configuration.
_FORMS = (
    "set datestyle = 'ISO'; set timezone = 'UTC'; set intervalstyle = 'postgres'; set bytea_output = 'hex';"
    " set extra_float_digits = 1; set standard_conforming_strings = on; set search_path = pg_catalog;"
    " set lock_timeout = '10s'"
)
_TRIGGERS = """
    select n.nspname, c.relname, t.tgname from pg_trigger t
    join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    where not t.tgisinternal and t.tgenabled = 'O' and t.tgparentid = 0
"""


class PostgresSide:
    """A database on a server, at `url`."""

    def __init__(self, url: str, database: PostgresDatabase) -> None:
        self._url = url
        self.database = database

    @contextmanager
    def reading(self) -> Iterator[PostgresReader]:
        """Read as of one moment."""
        with self._connection("begin isolation level repeatable read read only") as connection:
            yield PostgresReader(connection)

    @contextmanager
    def writing(self, catalogue: Catalogue) -> Iterator[PostgresWriter]:
        """Write in one transaction."""
        with self._connection("begin") as connection:
            triggers = connection.execute(_TRIGGERS).fetchall()
            for trigger in triggers:
                _switch(connection, "disable", *trigger)
            yield PostgresWriter(connection)
            for trigger in triggers:
                _switch(connection, "enable", *trigger)

    @contextmanager
    def _connection(self, begin: str) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(make_conninfo("", **reaching(self._url)), autocommit=True) as connection:
                connection.execute(f"{_FORMS}; {begin}".encode())
                yield connection
                connection.execute("commit")
        except psycopg.Error as error:
            message = error.diag.message_primary or str(error).strip()
            state = error.sqlstate or "08006"
            raise DatabaseError(message, sqlstate=state, table=error.diag.table_name) from error


class PostgresReader:
    """Reads within a transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        return int(self._one(sql.SQL("select count(*) from {}").format(_name(table))))

    def rows(self, table: Table, columns: tuple[str, ...]) -> Iterator[Cells]:
        """Yield a table's rows."""
        cells = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns)
        with self._connection.cursor("copying") as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            cursor.execute(sql.SQL("select {} from {}").format(cells or sql.SQL("null"), _name(table)))
            yield from cursor

    def counter(self, table: Table, column: str) -> int | None:
        """Return the last number that a column has given out."""
        sequence = self._one(
            "select pg_get_serial_sequence(%s, %s)", _name(table).as_string(self._connection), column
        )
        if sequence is None:
            return None
        last = self._one(f"select case when is_called then last_value end from {sequence}")  # noqa: S608 - quoted by the server
        return None if last is None else int(last)

    def _one(self, statement: Any, *values: str) -> Any:
        row = self._connection.execute(statement, values).fetchone()
        return row[0] if row is not None else None


class PostgresWriter:
    """Writes within a transaction."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def clear(self, tables: Iterable[Table]) -> None:
        """Remove all rows."""
        names = sql.SQL(", ").join(map(_name, tables))
        if names.as_string(self._connection):
            self._connection.execute(sql.SQL("truncate {} restart identity").format(names))

    def write(self, table: Table, columns: tuple[str, ...], rows: Iterable[Cells]) -> None:
        """Add rows."""
        names = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("copy {} ({}) from stdin").format(_name(table), names)
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            for row in rows:
                copy.write_row(row)

    def count_on(self, table: Table, column: str, last: int | None) -> None:
        """Have a column count on from `last`."""
        if last is not None:
            self._connection.execute(
                "select setval(pg_get_serial_sequence(%s, %s), %s)",
                (_name(table).as_string(self._connection), column, last),
            )


def _name(table: Table) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def _switch(connection: psycopg.Connection[Any], what: str, schema: str, table: str, trigger: str) -> None:
    command = sql.SQL("alter table {} {} trigger {}").format(
        sql.Identifier(schema, table), sql.SQL(what), sql.Identifier(trigger)
    )
    connection.execute(command)

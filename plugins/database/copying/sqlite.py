"""Rows in and out of a SQLite file as PostgreSQL's text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import apsw

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import Compiled, Transaction
from plugins.database.changes.sqlite import RESTART
from plugins.database.copying.copying import Cells
from plugins.database.sqlite.database import SqliteDatabase
from plugins.database.sqlite.names import engine_name, quote


class SqliteSide:
    """A database file."""

    def __init__(self, database: SqliteDatabase) -> None:
        self.database = database

    @contextmanager
    def reading(self) -> Iterator[SqliteReader]:
        """Read as of one moment."""
        connection = self.database.connections.separate()
        connection.execute("BEGIN")
        try:
            yield SqliteReader(connection, self.database)
        finally:
            connection.execute("COMMIT")

    @contextmanager
    def writing(self, catalogue: Catalogue) -> Iterator[SqliteWriter]:
        """Write in one transaction, whose foreign keys are checked at its end."""
        with self.database.schema_transaction() as transaction:
            yield SqliteWriter(transaction, self.database)
            if any(table.published for table in catalogue.tables.values()):
                for statement in RESTART.split(";"):
                    transaction.execute(Compiled(statement))


class SqliteReader:
    """Reads within a transaction."""

    def __init__(self, connection: apsw.Connection, database: SqliteDatabase) -> None:
        self._connection = connection
        self._database = database

    def count(self, table: Table) -> int:
        """Return how many rows a table has."""
        return int(self._one(f"SELECT count(*) FROM {_name(table)}"))  # noqa: S608 - the name is quoted

    def rows(self, table: Table, columns: tuple[str, ...]) -> Iterator[Cells]:
        """Yield a table's rows."""
        cells = (
            f"CAST({self._database.stored(table.columns[name].type).to_text.replace('{}', quote(name))} AS TEXT)"
            for name in columns
        )
        listed = ", ".join(cells) or "NULL"
        return iter(self._connection.execute(f"SELECT {listed} FROM {_name(table)}"))  # noqa: S608

    def counter(self, table: Table, column: str) -> int | None:
        """Return the last number that a column has given out."""
        found = self._one(
            "SELECT max(seq) FROM sqlite_sequence WHERE name = ?", engine_name(table.schema, table.name)
        )
        return None if found is None else int(found)

    def _one(self, sql: str, *values: str) -> Any:
        return self._connection.execute(sql, values).get


class SqliteWriter:
    """Writes within a transaction."""

    def __init__(self, transaction: Transaction, database: SqliteDatabase) -> None:
        self._transaction = transaction
        self._database = database

    def clear(self, tables: Iterable[Table]) -> None:
        """Remove all rows."""
        for table in tables:
            self._transaction.execute(Compiled(f"DELETE FROM {_name(table)}"))  # noqa: S608

    def write(self, table: Table, columns: tuple[str, ...], rows: Iterable[Cells]) -> None:
        """Add rows."""
        names = [f"c{place}" for place in range(len(columns))]
        values = (
            self._database.stored(table.columns[column].type).assign_text.replace("{}", f":{name}")
            for name, column in zip(names, columns, strict=True)
        )
        statement = Compiled(
            f"INSERT INTO {_name(table)} ({', '.join(map(quote, columns))}) VALUES ({', '.join(values)})"  # noqa: S608
        )
        for row in rows:
            self._transaction.execute(statement, dict(zip(names, row, strict=True)))

    def count_on(self, table: Table, column: str, last: int | None) -> None:
        """Have a column count on from `last`."""
        name = {"name": engine_name(table.schema, table.name)}
        self._transaction.execute(Compiled("DELETE FROM sqlite_sequence WHERE name = :name"), name)
        if last is not None:
            self._transaction.execute(
                Compiled("INSERT INTO sqlite_sequence VALUES (:name, :last)"), {**name, "last": last}
            )


def _name(table: Table) -> str:
    return quote(engine_name(table.schema, table.name))

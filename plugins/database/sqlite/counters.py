"""The numbers that columns give to rows: SQLite counts them in a table of its own."""

from __future__ import annotations

from typing import Any

import apsw

from kernel.contracts.database import DatabaseError


def register(connection: apsw.Connection) -> None:
    """Give `connection` what stands for ``nextval()`` and its kin, by a table's name in the file."""

    def last(table: Any) -> int | None:
        row: Any = connection.execute(
            "SELECT seq FROM main.sqlite_sequence WHERE name = ?", (table,)
        ).fetchone()
        return None if row is None else int(row[0])

    def put(table: Any, value: int) -> None:
        if last(table) is None:
            connection.execute("INSERT INTO main.sqlite_sequence (name, seq) VALUES (?, ?)", (table, value))
        else:
            connection.execute("UPDATE main.sqlite_sequence SET seq = ? WHERE name = ?", (value, table))

    def nextval(*arguments: Any) -> int:
        (table,) = arguments
        value = (last(table) or 0) + 1
        put(table, value)
        return value

    def currval(*arguments: Any) -> int:
        table, sequence = arguments
        value = last(table)
        if value is None:
            message = f'currval of sequence "{sequence}" is not yet defined in this session'
            raise DatabaseError(message, sqlstate="55000")
        return value

    def setval(*arguments: Any) -> int | None:
        table, value, called, sequence, most = arguments
        if value is None or called is None:
            return None
        if not 1 <= value <= most:
            raise DatabaseError(
                f'setval: value {value} is out of bounds for sequence "{sequence}" (1..{most})',
                sqlstate="22003",
            )
        put(table, value if called else value - 1)
        return int(value)

    connection.create_scalar_function("pg_nextval", nextval, 1)
    connection.create_scalar_function("pg_currval", currval, 2)
    connection.create_scalar_function("pg_setval", setval, 5)

"""Parameters and results of statements, as libpq has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kernel.contracts.database import DatabaseError, Params, Row
from plugins.database.postgresql import arrays
from plugins.database.postgresql.statements import Statement
from plugins.database.postgresql.values import Reader, reader


def is_stale(error: DatabaseError) -> bool:
    """Tell whether a prepared statement has outlived a change of the schema, or whoever kept it for us."""
    return error.sqlstate == "26000" or (
        error.sqlstate == "0A000" and error.message.startswith("cached plan must not change")
    )


def bound(statement: Statement, params: Params) -> Sequence[Any]:
    """Return the values of a statement's parameters, in its order; raises `DatabaseError` where one is missing."""
    try:
        return [params[name] for name in statement.parameters]
    except KeyError as error:
        raise DatabaseError(
            f"there is no value for the parameter :{error.args[0]}", sqlstate="42P02"
        ) from None


def readers_of(described: Any) -> tuple[Reader, ...]:
    """Return what reads the columns of a result."""
    return tuple(reader(described.ftype(column)) for column in range(described.nfields))


def arrays_among(described: Any) -> tuple[tuple[int, int], ...]:
    """Return which of a statement's parameters are arrays, with their types."""
    types = ((place, described.param_type(place)) for place in range(described.nparams))
    return tuple((place, oid) for place, oid in types if oid in arrays.ELEMENTS)


def rows_of(result: Any, reading: tuple[Callable[[bytes], Any], ...]) -> list[Row]:
    """Read the rows of a result."""
    value = result.get_value
    columns = tuple(enumerate(reading))
    found = []
    for row in range(result.ntuples):
        cells = [(read, value(row, column)) for column, read in columns]
        found.append(tuple(None if cell is None else read(cell) for read, cell in cells))
    return found

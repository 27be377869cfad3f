"""One connection to a server: statements prepared once and run in one round trip, through libpq itself.

Source: chapter "libpq" of PostgreSQL's manual (extended queries, pipeline mode).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from psycopg import OperationalError
from psycopg.pq import ConnStatus, ExecStatus, PGconn, TransactionStatus

from kernel.contracts.database import DatabaseError, Params, Row
from plugins.database.postgresql import arrays, errors
from plugins.database.postgresql.statements import Statement
from plugins.database.postgresql.values import Reader, reader, written

_PREPARED = 500
"""How many statements a connection keeps prepared; the server holds each one's plan."""

_GOOD = frozenset({ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY})

Result = tuple[list[Row], int]


class _Prepared(NamedTuple):
    """A prepared statement: its name, what reads its columns, and which parameters are arrays, by type."""

    name: bytes
    readers: tuple[Reader, ...]
    arrays: tuple[tuple[int, int], ...]


class Session:
    """A connection and the statements that it has prepared; used by one thread at a time."""

    def __init__(self, conninfo: bytes) -> None:
        """Connect; raises `DatabaseUnavailable`."""
        try:
            self._libpq: Any = PGconn.connect(conninfo)  # its types know no None for NULL
        except OperationalError as error:
            raise errors.unreachable(str(error)) from error
        if self._libpq.status != ConnStatus.OK:
            reason = self._libpq.error_message.decode(errors="replace").strip()
            self._libpq.finish()
            raise errors.unreachable(reason)
        self._prepared: OrderedDict[bytes, _Prepared] = OrderedDict()
        self._count = 0
        self.catalogue = 0

    @property
    def broken(self) -> bool:
        """Whether nothing more can be done with it."""
        return bool(self._libpq.status != ConnStatus.OK)

    @property
    def idle(self) -> bool:
        """Whether it is in no transaction."""
        return bool(self._libpq.transaction_status == TransactionStatus.IDLE)

    @property
    def socket(self) -> int:
        """The descriptor that becomes readable when the server has something to say."""
        return int(self._libpq.socket)

    def run(self, statement: Statement, params: Params) -> Result:
        """Run one statement, prepared; return its rows, and how many it changed or else returned."""
        values = [written(value) for value in _bound(statement, params)]
        try:
            return self._run(statement, list(values))
        except DatabaseError as error:
            if not _is_stale(error):
                raise
            del self._prepared[statement.text]
            if not self.idle:  # the transaction has failed with it
                raise
        return self._run(statement, values)

    def _run(self, statement: Statement, values: list[bytes | None]) -> Result:
        prepared = self._prepared.get(statement.text) or self._prepare(statement)
        for place, oid in prepared.arrays:
            values[place] = arrays.from_json(values[place], oid)
        result = self._libpq.exec_prepared(prepared.name, values, None, 0)
        self._check(result)
        return _rows(result, prepared.readers), result.command_tuples or 0

    def once(self, statement: Statement, params: Params) -> Result:
        """Do the same without keeping it prepared."""
        values = [written(value) for value in _bound(statement, params)]
        result = self._libpq.exec_params(statement.text, values, None, None, 0)
        self._check(result)
        return _rows(result, _readers(result)), result.command_tuples or 0

    def command(self, sql: bytes) -> None:
        """Run commands of our own that return nothing."""
        self._check(self._libpq.exec_(sql))

    def forget(self) -> None:
        """Let go of all prepared statements: what they return may have changed with the schema."""
        if self._prepared:
            self._prepared.clear()
            self.command(b"DEALLOCATE ALL")

    def notifications(self) -> list[tuple[str, str]]:
        """Return the channels and payloads that have come in; raises `DatabaseUnavailable` if the server has gone."""
        try:
            self._libpq.consume_input()
        except OperationalError as error:
            raise errors.lost() from error
        found = []
        while (notify := self._libpq.notifies()) is not None:
            found.append((notify.relname.decode(), notify.extra.decode()))
        return found

    def close(self) -> None:
        """Close the connection."""
        self._libpq.finish()

    def _prepare(self, statement: Statement) -> _Prepared:
        self._count += 1
        name = b"s%d" % self._count
        self._check(self._libpq.prepare(name, statement.text))
        described = self._libpq.describe_prepared(name)
        self._check(described)
        if len(self._prepared) >= _PREPARED:
            _, oldest = self._prepared.popitem(last=False)
            self.command(b"DEALLOCATE " + oldest.name)
        prepared = self._prepared[statement.text] = _Prepared(name, _readers(described), _arrays(described))
        return prepared

    def _check(self, result: Any) -> None:
        if result.status in _GOOD:
            return
        if self.broken:
            raise errors.lost()
        raise errors.refusal(result)


def _is_stale(error: DatabaseError) -> bool:
    """Tell whether a prepared statement has outlived a change of the schema, or whoever kept it for us."""
    return error.sqlstate == "26000" or (
        error.sqlstate == "0A000" and error.message.startswith("cached plan must not change")
    )


def _bound(statement: Statement, params: Params) -> Sequence[Any]:
    try:
        return [params[name] for name in statement.parameters]
    except KeyError as error:
        raise DatabaseError(
            f"there is no value for the parameter :{error.args[0]}", sqlstate="08P01"
        ) from None


def _readers(described: Any) -> tuple[Reader, ...]:
    return tuple(reader(described.ftype(column)) for column in range(described.nfields))


def _arrays(described: Any) -> tuple[tuple[int, int], ...]:
    types = ((place, described.param_type(place)) for place in range(described.nparams))
    return tuple((place, oid) for place, oid in types if oid in arrays.ELEMENTS)


def _rows(result: Any, readers: tuple[Callable[[bytes], Any], ...]) -> list[Row]:
    value = result.get_value
    columns = tuple(enumerate(readers))
    rows = []
    for row in range(result.ntuples):
        cells = [(read, value(row, column)) for column, read in columns]
        rows.append(tuple(None if cell is None else read(cell) for read, cell in cells))
    return rows

"""One connection to a server: statements prepared once and run in one round trip, through libpq itself.

A statement for a caller takes one round trip as well: what stands between two synchronisations of a pipeline is one
transaction, in which the role and the claims are set first and gone at its end, whatever happens.

The server stops a statement that takes too long. A server that is frozen, or that a firewall has cut off, stops
nothing and says nothing: so answers are waited for no longer than a while more.

Source: chapter "libpq" of PostgreSQL's manual (extended queries, pipeline mode, asynchronous command processing).
"""

from __future__ import annotations

import functools
import select
from collections import OrderedDict
from collections.abc import Callable, Iterator
from time import monotonic
from typing import Any, NamedTuple

import psycopg
from psycopg.pq import ConnStatus, ExecStatus, TransactionStatus

from kernel.contracts.database import DatabaseError, Params, Row
from plugins.database.postgresql import arrays, errors
from plugins.database.postgresql.callers import Caller
from plugins.database.postgresql.results import arrays_among, bound, is_stale, readers_of, rows_of
from plugins.database.postgresql.statements import Statement
from plugins.database.postgresql.values import Reader, written

_PREPARED = 500
"""How many statements a connection keeps prepared; the server holds each one's plan."""

_ASSUME_NAME = b"assume"
_ASSUME = (
    b"select set_config('role', coalesce($1, current_setting('role')), true),"
    b" set_config('request.jwt.claims', $2, true)"
)
"""Taking on a role (or keeping the one at hand) and a caller's claims until the transaction ends."""

_WITH_NAME = b"assume_with"
_WITH = _ASSUME + b", (select count(set_config(key, value, true)) from json_each_text($3))"
_LEFT_NAME = b"left"
_LEFT = (
    b"select name, nullif(current_setting(name, true), '') from json_array_elements_text($1) as wanted(name)"
)
"""The settings of a request; and what it has left in some of them."""

_GOOD = frozenset({
    ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK, ExecStatus.EMPTY_QUERY,
    ExecStatus.SINGLE_TUPLE, ExecStatus.TUPLES_CHUNK,
})  # fmt: skip
_ROWS_AT_ONCE = 500

Result = tuple[list[Row], int]


class _Prepared(NamedTuple):
    """A prepared statement: its name, what reads its columns, and which parameters are arrays, by type."""

    name: bytes
    readers: tuple[Reader, ...]
    arrays: tuple[tuple[int, int], ...]


class Session:
    """A connection and the statements that it has prepared; used by one thread at a time."""

    def __init__(self, conninfo: bytes, patience: float | None, role: bytes = b"none") -> None:
        """Connect; raises `DatabaseUnavailable`. An answer may take `patience` seconds; None is any time.

        `role` is the one that the connection has of itself; ``none`` is the login's.
        """
        try:
            # Libpq's own function would keep all threads waiting with this one, and resolves names one by one.
            self._connection = psycopg.connect(conninfo.decode(), autocommit=True)
        except psycopg.OperationalError as error:
            raise errors.unreachable(str(error)) from error
        self._libpq: Any = self._connection.pgconn  # its types know no None for NULL
        self._prepared: OrderedDict[tuple[bytes, bytes | None], _Prepared] = OrderedDict()
        self._count = 0
        self._can_assume = False
        self._input, self._either = select.poll(), select.poll()
        self._input.register(self.socket, select.POLLIN)
        self._either.register(self.socket, select.POLLIN | select.POLLOUT)
        self.patience = patience
        self.catalogue = 0
        self._role = role

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

    def run(self, statement: Statement, params: Params, role: bytes | None = None) -> Result:
        """Run one statement, prepared; return its rows, and how many it changed or else returned.

        `role` is the one that the transaction has taken on: the server plans a statement for one role.
        """
        values = [written(value) for value in bound(statement, params)]
        return self._fresh(statement, role, lambda: self._run(statement, list(values), role))

    def _fresh(self, statement: Statement, role: bytes | None, run: Callable[[], Result]) -> Result:
        """Run a prepared statement; once more where somebody else's change has outdated it."""
        try:
            return run()
        except DatabaseError as error:
            if not is_stale(error):
                raise
            del self._prepared[statement.text, role]
            if not self.idle:  # the transaction has failed with it
                raise
        return run()

    def _run(self, statement: Statement, values: list[bytes | None], role: bytes | None) -> Result:
        prepared = self._prepared.get((statement.text, role)) or self._prepare(statement, role)
        for place, oid in prepared.arrays:
            values[place] = arrays.from_json(values[place], oid)
        result = self._ask(lambda: self._libpq.send_query_prepared(prepared.name, values))
        return rows_of(result, prepared.readers), result.command_tuples or 0

    def run_for(self, caller: Caller, statement: Statement, params: Params) -> Result:
        """Run one statement that is a transaction of its own for a caller, in one round trip.

        The first time it takes three: what the server says of the parameters has to be known before they are sent.
        """
        values = [written(value) for value in bound(statement, params)]
        self._prepare_assume()
        run = self._run_for if caller.first is None else self._run_after_first
        return self._fresh(statement, caller.role, lambda: run(caller, statement, list(values)))

    def _run_for(self, caller: Caller, statement: Statement, values: list[bytes | None]) -> Result:
        prepared = self._prepared.get((statement.text, caller.role)) or self._prepare_for(caller, statement)
        for place, oid in prepared.arrays:
            values[place] = arrays.from_json(values[place], oid)

        def send() -> None:
            self._send_assume(caller)
            self._libpq.send_query_prepared(prepared.name, values)
            self._send_left(caller)

        results = self._pipelined(send)
        result = self._without_left(caller, results)[-1]
        return rows_of(result, prepared.readers), result.command_tuples or 0

    def _run_after_first(self, caller: Caller, statement: Statement, values: list[bytes | None]) -> Result:
        """Run a statement behind the call that comes first, which may decide whom it runs as."""
        self.begin_for(caller, b"BEGIN")
        try:
            result = self._run(statement, values, caller.role)
            self.end_for(caller, b"COMMIT")
        finally:
            if not self.broken and not self.idle:
                self.command(b"ROLLBACK")
        return result

    def _prepare_for(self, caller: Caller, statement: Statement) -> _Prepared:
        """Prepare a statement as the caller, who may see other tables than the connection's own role."""
        name = self._new_name()

        def send() -> None:
            self._send_assume(caller)
            self._libpq.send_prepare(name, statement.text)
            self._libpq.send_describe_prepared(name)

        return self._keep((statement.text, caller.role), name, self._pipelined(send)[-1])

    def stream(self, statement: Statement, params: Params, role: bytes | None) -> Iterator[list[Row]]:
        """Run one statement, prepared, within a transaction that has taken on `role`; yield its rows, some at a time.

        Where not all of them are taken, the server is told to stop.
        """
        values = [written(value) for value in bound(statement, params)]
        key = (statement.text, role)
        prepared = self._prepared.get(key) or self._prepare(statement, role)
        for place, oid in prepared.arrays:
            values[place] = arrays.from_json(values[place], oid)
        ended = False
        try:
            self._send(lambda: self._libpq.send_query_prepared(prepared.name, values))
            self._send(self._in_parts)
            self._flush()
            while (result := self._next_result()) is not None:
                self._check(result)
                if result.ntuples:
                    yield rows_of(result, prepared.readers)
            ended = True
        except DatabaseError as error:
            if is_stale(error):
                del self._prepared[key]
            raise
        finally:
            if not (ended or self.broken):
                self._interrupt()

    def _in_parts(self) -> None:
        """Have the statement that was just sent give its rows a few at a time."""
        if psycopg.capabilities.has_stream_chunked():
            self._libpq.set_chunked_rows_mode(_ROWS_AT_ONCE)
        else:
            self._libpq.set_single_row_mode()

    def _interrupt(self) -> None:
        """Have the server stop the statement at hand, and take what it still says."""
        self._connection.cancel()
        while self._next_result() is not None:
            pass

    def begin_for(self, caller: Caller, begin: bytes) -> None:
        """Begin a transaction for a caller, in one round trip."""
        self._prepare_assume()

        def send() -> None:
            self._libpq.send_query_params(begin, None)
            self._send_assume(caller)
            if caller.first is not None:
                self._libpq.send_query_params(caller.first, None)

        self._pipelined(send)

    def assume(self, caller: Caller | None) -> None:
        """Go on for another caller, within a transaction; None is the connection itself."""
        role, claims = (None, b"") if caller is None else (caller.role, caller.claims)
        self._prepare_assume()
        self._ask(lambda: self._libpq.send_query_prepared(_ASSUME_NAME, [role or self._role, claims]))

    def end_for(self, caller: Caller, *commands: bytes) -> None:
        """End a caller's transaction with `commands`, in one round trip, and read what it has left."""

        def send() -> None:
            self._send_left(caller)
            for command in commands:
                self._libpq.send_query_params(command, None)

        results = self._pipelined(send)
        self._without_left(caller, results[: len(results) - len(commands)])

    def _prepare_assume(self) -> None:
        if not self._can_assume:
            for prepared in ((_ASSUME_NAME, _ASSUME), (_WITH_NAME, _WITH), (_LEFT_NAME, _LEFT)):
                self._ask(functools.partial(self._libpq.send_prepare, *prepared))
            self._can_assume = True

    def _send_assume(self, caller: Caller) -> None:
        given = caller.given
        if given is None:
            self._libpq.send_query_prepared(_ASSUME_NAME, [caller.role, caller.claims])
        else:
            self._libpq.send_query_prepared(_WITH_NAME, [caller.role, caller.claims, given])

    def _send_left(self, caller: Caller) -> None:
        if (wanted := caller.wanted) is not None:
            self._libpq.send_query_prepared(_LEFT_NAME, [wanted])

    def _without_left(self, caller: Caller, results: list[Any]) -> list[Any]:
        """Take away the last result, where it says what settings have been left."""
        if caller.settings is None or caller.wanted is None:
            return results
        *others, last = results
        found = rows_of(last, readers_of(last))
        caller.settings.left = {name: value for name, value in found if value is not None}
        return others

    def _pipelined(self, send: Callable[[], None]) -> list[Any]:
        """Send several commands at once and return their results; raises the first error among them."""
        self._send(self._libpq.enter_pipeline_mode)
        try:
            self._send(send)
            results = self._synchronise()
        finally:
            if not self.broken:
                self._libpq.exit_pipeline_mode()
        for result in results:
            self._check(result)
        return results

    def _synchronise(self) -> list[Any]:
        """End what was sent and return the results in order; what follows an error was not run."""
        self._send(self._libpq.pipeline_sync)
        self._flush()
        results: list[Any] = []
        while True:
            result = self._next_result()
            if result is None:
                if self.broken:
                    raise errors.lost()
                continue
            if result.status == ExecStatus.PIPELINE_SYNC:
                return results
            results.append(result)

    def once(self, statement: Statement, params: Params) -> Result:
        """Do the same without keeping it prepared."""
        values = [written(value) for value in bound(statement, params)]
        result = self._ask(lambda: self._libpq.send_query_params(statement.text, values))
        return rows_of(result, readers_of(result)), result.command_tuples or 0

    def command(self, sql: bytes) -> None:
        """Run commands of our own that return nothing."""
        self._ask(lambda: self._libpq.send_query(sql))

    def take_time(self, scope: bytes = b"SESSION") -> None:
        """Let statements take as long as they need; with the scope ``LOCAL``, those of the transaction.

        The server is then waited for as long as the connection stands: set `patience` again where that ends.
        """
        self.command(b"SET %s statement_timeout = 0" % scope)
        self.patience = None

    def forget(self) -> None:
        """Let go of all prepared statements: what they return may have changed with the schema."""
        if self._prepared:
            self._prepared.clear()
            self._can_assume = False
            self.command(b"DEALLOCATE ALL")

    def notifications(self) -> list[tuple[str, str]]:
        """Return the channels and payloads that have come in; raises `DatabaseUnavailable` if the server has gone."""
        self._consume()
        found = []
        while (notify := self._libpq.notifies()) is not None:
            found.append((notify.relname.decode(), notify.extra.decode()))
        return found

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _prepare(self, statement: Statement, role: bytes | None) -> _Prepared:
        name = self._new_name()
        self._ask(lambda: self._libpq.send_prepare(name, statement.text))
        described = self._ask(lambda: self._libpq.send_describe_prepared(name))
        return self._keep((statement.text, role), name, described)

    def _new_name(self) -> bytes:
        self._count += 1
        return b"s%d" % self._count

    def _keep(self, key: tuple[bytes, bytes | None], name: bytes, described: Any) -> _Prepared:
        if len(self._prepared) >= _PREPARED:
            _, oldest = self._prepared.popitem(last=False)
            self.command(b"DEALLOCATE " + oldest.name)
        prepared = self._prepared[key] = _Prepared(name, readers_of(described), arrays_among(described))
        return prepared

    def _ask(self, send: Callable[[], None]) -> Any:
        """Send one command and return its last result; raises what is wrong with it."""
        self._send(send)
        self._flush()
        last: Any = None
        while (result := self._next_result()) is not None:
            last = result
        if last is None:
            raise errors.lost()
        self._check(last)
        return last

    def _send(self, send: Callable[[], None]) -> None:
        try:
            send()
        except psycopg.OperationalError as error:
            self.close()
            raise errors.lost() from error

    def _flush(self) -> None:
        """Hand to the system what is left to send; raises `DatabaseUnavailable` where it takes none for too long."""
        deadline = self._deadline()
        left: list[int] = []
        self._send(lambda: left.append(self._libpq.flush()))
        while left.pop():
            self._wait(self._either, deadline)
            self._consume()
            self._send(lambda: left.append(self._libpq.flush()))

    def _next_result(self) -> Any:
        """Wait for a result, or for there to be no more (None); raises `DatabaseUnavailable` after too long."""
        libpq = self._libpq
        deadline = self._deadline()
        while libpq.is_busy():
            self._wait(self._input, deadline)
            self._consume()
        return libpq.get_result()

    def _deadline(self) -> float | None:
        return None if self.patience is None else monotonic() + self.patience

    def _wait(self, readiness: select.poll, deadline: float | None) -> None:
        remaining = None if deadline is None else max(0.0, deadline - monotonic()) * 1000
        if not readiness.poll(remaining):
            self.close()
            raise errors.silent(self.patience)

    def _consume(self) -> None:
        """Take what has come in; raises `DatabaseUnavailable` if the server has gone."""
        try:
            self._libpq.consume_input()
        except psycopg.OperationalError as error:
            raise errors.lost() from error

    def _check(self, result: Any) -> None:
        if result.status in _GOOD:
            return
        if self.broken:
            raise errors.lost()
        raise errors.refusal(result)

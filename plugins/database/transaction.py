"""What a transaction is on either engine: all or nothing, one at a time in a thread, events after the commit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Self

from kernel.contracts.database import NO_PARAMS, Compiled, DatabaseError, Params, Row, Transaction
from kernel.events import Event
from kernel.identity import Identity
from plugins.database import parser

Publish = Callable[[Event], None]


class EngineTransaction:
    """The engine's part is in `_begin`, `_run`, `_commit`, `_rollback` and `_release`; used as a context manager, once.

    `writing` holds the threads that are in a transaction of this database.
    """

    _changes_schema = False

    def __init__(self, publish: Publish, writing: set[int], identity: Identity | None) -> None:
        self._publish = publish
        self._writing = writing
        self._identity = identity
        self._events: list[Event] = []
        self._failed = False
        self._savepoints = 0
        self._undone = False

    def query(self, statement: str | Compiled, params: Params = NO_PARAMS) -> list[Row]:
        """Run one statement and return its rows."""
        return self._attempt(statement, params)[0]

    def execute(self, statement: str | Compiled, params: Params = NO_PARAMS) -> int:
        """Run one statement and return how many rows it changed, or returned if it only reads."""
        return self._attempt(statement, params)[1]

    def script(self, sql: str) -> None:
        """Run several statements of PostgreSQL's SQL, in order."""
        self._check_usable()
        try:
            statements = parser.split(sql)
        except DatabaseError:
            self._failed = True
            raise
        for statement in statements:
            try:
                self._attempt(statement, NO_PARAMS)
            except DatabaseError as error:
                error.statement = statement
                raise

    def publish(self, event: Event) -> None:
        """Publish `event` after the commit."""
        self._events.append(event)

    def on_behalf_of(self, identity: Identity | None) -> Transaction:
        """Return this transaction with another's rights; one that changes the schema is the kernel's alone."""
        if self._changes_schema and identity is not None:
            raise ValueError("a transaction that changes the schema has the kernel's rights only")
        return _OnBehalf(self, identity)

    @contextmanager
    def acting(self, identity: Identity | None) -> Iterator[None]:
        """Run what the block does with another's rights."""
        own, self._identity = self._identity, identity
        try:
            yield
        finally:
            self._identity = own

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block does when it raises."""
        self._check_usable()
        self._savepoints += 1
        name, events = f"savepoint_{self._savepoints}", len(self._events)
        self._command(f"SAVEPOINT {name}")
        try:
            yield
            self._check_usable()
        except BaseException:
            self._failed = True
            del self._events[events:]
            self._command(f"ROLLBACK TO {name}")
            self._command(f"RELEASE {name}")
            self._failed = False
            raise
        self._command(f"RELEASE {name}")

    def undo(self) -> None:
        """Have nothing stay of it."""
        self._undone = True

    def __enter__(self) -> Self:
        """Begin; raises `DatabaseError` 25001 in a thread that has begun one already."""
        thread = threading.get_ident()
        if thread in self._writing:
            raise DatabaseError(
                "there is already a transaction in progress in this thread",
                sqlstate="25001",
                hint="Pass the transaction on; transactions do not nest.",
            )
        self._begin()
        self._writing.add(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit, or roll back if the block raised or a statement had failed; then publish."""
        try:
            if kind is None and not self._failed:
                self._commit()
            else:
                self._rollback()
        finally:
            self._writing.discard(threading.get_ident())
            self._release()
        if kind is not None or self._undone:
            return
        if self._failed:
            raise DatabaseError(
                "the transaction was rolled back: one of its statements had failed", sqlstate="25P02"
            )
        for event in self._events:
            self._publish(event)

    def _attempt(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        self._check_usable()
        try:
            return self._run(statement, params)
        except Exception:
            self._failed = True
            raise

    def _check_usable(self) -> None:
        if self._failed:
            raise DatabaseError(
                "current transaction is aborted, commands ignored until end of transaction block",
                sqlstate="25P02",
            )

    def _begin(self) -> None:
        """Take a connection and begin; raises with nothing taken."""
        raise NotImplementedError

    def _run(self, statement: str | Compiled, params: Params) -> tuple[list[Row], int]:
        """Run one statement; return its rows, and how many it changed or else returned."""
        raise NotImplementedError

    def _command(self, sql: str) -> None:
        """Run a command of our own that returns nothing."""
        raise NotImplementedError

    def _commit(self) -> None:
        """Commit, or undo what could be committed; raises with the transaction rolled back."""
        raise NotImplementedError

    def _rollback(self) -> None:
        """Undo everything."""
        raise NotImplementedError

    def _release(self) -> None:
        """Give the connection back."""
        raise NotImplementedError


class _OnBehalf:
    """A transaction with the rights of another than the one it was begun for."""

    def __init__(self, transaction: EngineTransaction, identity: Identity | None) -> None:
        self._transaction = transaction
        self._identity = identity

    def query(self, statement: str | Compiled, params: Params = NO_PARAMS) -> list[Row]:
        """Run one statement and return its rows."""
        with self._transaction.acting(self._identity):
            return self._transaction.query(statement, params)

    def execute(self, statement: str | Compiled, params: Params = NO_PARAMS) -> int:
        """Run one statement and return how many rows it changed, or returned if it only reads."""
        with self._transaction.acting(self._identity):
            return self._transaction.execute(statement, params)

    def script(self, sql: str) -> None:
        """Run several statements of PostgreSQL's SQL, in order."""
        with self._transaction.acting(self._identity):
            self._transaction.script(sql)

    def publish(self, event: Event) -> None:
        """Publish `event` after the commit."""
        self._transaction.publish(event)

    def undo(self) -> None:
        """Have nothing stay of the whole transaction."""
        self._transaction.undo()

    def on_behalf_of(self, identity: Identity | None) -> Transaction:
        """Return the transaction with another's rights."""
        return self._transaction.on_behalf_of(identity)

    def savepoint(self) -> AbstractContextManager[None]:
        """Undo what the block does when it raises."""
        return self._transaction.savepoint()

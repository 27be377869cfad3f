"""`Records` within one transaction of one caller's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kernel.contracts.database import Compiled, Params, RequestSettings, Row, Transaction
from kernel.contracts.queries import Call, Delete, Insert, Update
from kernel.contracts.records import Records, Unsupported
from kernel.identity import Identity
from plugins.records.service import Run, TableRecords


class RecordsTogether(TableRecords):
    """What `Records.together` yields: `records` again, whose statements all run in `transaction`, for `caller` only."""

    def __init__(self, records: TableRecords, transaction: Transaction, caller: Identity) -> None:
        super().__init__(records.database, records.kept, records.hooks, records.procedures)
        self._shared = transaction
        self._caller = caller

    def reading(self, caller: Identity, *, inline: bool = False) -> Run:
        """Return what runs a statement within the transaction; it sees what was written there."""
        self._check(caller)
        return self._shared.query

    def streaming(self, statement: Compiled, params: Params, caller: Identity) -> Iterator[list[Row]]:
        """Run a statement within the transaction, which has to have its rows before others run in it."""
        self._check(caller)
        yield self._shared.query(statement, params)

    def reader(self, caller: Identity) -> Transaction:
        """Give the transaction."""
        self._check(caller)
        return self._shared

    @contextmanager
    def writing(self, caller: Identity) -> Iterator[Transaction]:
        """Give the transaction."""
        self._check(caller)
        yield self._shared

    @contextmanager
    def transaction(self, write: Insert | Update | Delete | Call, caller: Identity) -> Iterator[Transaction]:
        """Give the transaction; a write in it cannot be undone while others stay."""
        if write.undo:
            raise Unsupported("One write of several cannot be undone by itself.")
        with self.writing(caller) as transaction:
            yield transaction

    def under(self, settings: RequestSettings) -> Records:
        """Return these records themselves: their transaction has its settings."""
        return self

    @contextmanager
    def together(self, identity: Identity | None) -> Iterator[Records]:
        """Give these records themselves: their transaction ends where it began."""
        yield self

    def _check(self, caller: Identity) -> None:
        if caller != self._caller:
            raise ValueError("a transaction of records is one identity's")

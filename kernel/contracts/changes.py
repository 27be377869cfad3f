"""ChangeLog: what happened to the rows of the tables that asked for it, in an order that followers can rely on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Protocol

import msgspec

CHANGES_TOPIC = "database.changes"
"""The topic of `Signals` that tells of new changes; its payload is empty."""


class RowChange(msgspec.Struct, frozen=True):
    """One change of one row, or of a whole table at once.

    `id` grows in the order in which changes were made. `transaction` is the same for all changes of one
    transaction and of no other; `moment` is when the change was made, which is before its commit, as in
    ``2024-01-01T00:00:00+00:00``. `old` and `new` are the row before and after as the JSON text of an object, its
    members in PostgreSQL's JSON forms: an INSERT has no `old`, a DELETE no `new`. A table that was truncated has
    either one TRUNCATE, with neither, or a DELETE of each row.
    """

    id: int
    transaction: int
    moment: str
    schema: str
    table: str
    command: Literal["INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    old: str | None
    new: str | None


class ChangeBatch(msgspec.Struct, frozen=True):
    """Changes, and the cursor that stands behind the last of them."""

    changes: tuple[RowChange, ...]
    cursor: str


class ChangesLost(Exception):
    """The log does not hold all that came after a cursor: look at the tables anew, and follow from `ChangeLog.now`.

    It was pruned meanwhile, or the cursor is another database's, also one from before a backup was restored.
    """


class Following(Protocol):
    """Batches of changes as they are committed, none of them empty; `close` ends it."""

    def __iter__(self) -> Iterator[ChangeBatch]:
        """Wait for changes and yield them, also where the database is away for a while. Raises `ChangesLost`."""

    def close(self) -> None:
        """End the iteration, from whichever thread; what it holds back by then is not lost to the cursor."""


class ChangeLog(Protocol):
    """The changes of all tables in the publication ``supabase_realtime``.

    ``alter publication supabase_realtime add table todos`` asks for it, in a schema transaction. From then on
    every change of a row, by whichever statement, cascade or program, writes a row of the log in the same
    transaction; nothing is seen of it before the commit, and never after a rollback.

    A cursor is a text; it says which transactions a reader has seen. Reading from cursor to cursor gives each
    change exactly once, however long some transactions take and however many write at the same time, and no
    transaction waits for another because of the log. The order:

    - The changes of one transaction come in the order in which they were made.
    - A transaction that had committed before another made a change comes before that change. In particular, the
      changes of one row come in the order in which they happened to it.
    - Transactions that ran at the same time may be interleaved, and two readers may see them in different orders.
    """

    def now(self) -> str:
        """Return a cursor behind all that has been committed so far."""

    def read(self, after: str, limit: int = 1000) -> ChangeBatch:
        """Return at most `limit` changes after a cursor; fewer than that are all there were.

        Raises `ChangesLost`.
        """

    def follow(self, after: str, limit: int = 1000) -> Following:
        """Return what yields batches of at most `limit` changes after a cursor, and waits for more."""

    def prune(self, retention: float) -> int:
        """Forget the changes that a call at least `retention` seconds ago has seen; return how many.

        With 0 these are the ones that this call sees, so how exactly `retention` is kept to is a matter of how
        often it is called. Readers whose cursors are older than that are told (`ChangesLost`), possibly also where
        nothing has happened since; readers with younger ones never miss anything.
        """

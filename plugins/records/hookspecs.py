"""The hooks of a write: plugins implement them to take part in what `Records` writes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from kernel.contracts.database import Transaction
from kernel.contracts.procedures import Procedure
from kernel.contracts.queries import Delete, Insert, Update
from kernel.identity import Identity
from kernel.plugin import hookspec


class RecordsHooks:
    """The records plugin's hook specifications.

    Those before and after a write are called within its transaction, for whichever way a row is written through
    `Records`: REST, batches, upserts. `transaction` has the caller's rights, ``transaction.on_behalf_of(None)`` those
    of the kernel. What a hook writes there, or enqueues, stays if the write does. Raise `kernel.Veto` to refuse the
    write: nothing of it stays, and the client reads the reason (as the error P0001, which a trigger's ``raise
    exception`` is too). What SQL writes by itself (functions, triggers, cascades, migrations) is not seen.
    """

    @hookspec
    def records_procedures(self) -> Iterable[Procedure]:  # type: ignore[empty-body]
        """Return functions in Python that clients may call as they call the database's.

        Called once, when all plugins have started.
        """

    @hookspec
    def records_before_write(
        self,
        write: Insert | Update | Delete,
        rows: list[dict[str, Any]],
        identity: Identity,
        transaction: Transaction,
    ) -> None:
        """Look at a write before it happens, and change what it writes.

        `rows` holds what an insert writes, the one object of new values that an update gives to all rows it finds,
        and nothing for a delete. Change them in place, and add or take away rows of an insert. Values are those of
        JSON, with a `decimal.Decimal` for a number with a fraction. Whatever is put in has to be allowed to the caller.
        """

    @hookspec
    def records_after_write(
        self,
        write: Insert | Update | Delete,
        rows: list[dict[str, Any]] | None,
        count: int,
        identity: Identity,
        transaction: Transaction,
    ) -> None:
        """Look at what a write did: `count` rows, which hold all columns as they are now (or were, if deleted).

        `write` is what was done, with what the hooks before it have changed. An implementation that has no parameter
        `rows` spares the database from returning them. They are None where the caller may not read what it wrote.
        """

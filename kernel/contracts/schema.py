"""SchemaWork: what changes a database's schema, and rehearses that first, on whichever engine keeps it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import msgspec

from kernel.contracts.catalogue import Catalogue, Function, Table
from kernel.contracts.database import Transaction

Blocks = Literal["nothing", "schema changes", "writes", "reads and writes"]


class Dropped(msgspec.Struct, frozen=True):
    """What a statement drops: a table with all its rows, or one of its columns."""

    schema: str
    table: str
    column: str | None = None


class Lock(msgspec.Struct, frozen=True):
    """A lock that a statement takes and that is held until its transaction ends.

    `mode` is PostgreSQL's name in lower case (``access exclusive``); an engine that locks all tables at once has
    `schema` and `table` None. `blocks` is what others of the application have to wait with.
    """

    schema: str | None
    table: str | None
    mode: str
    blocks: Blocks


class Step(msgspec.Struct, frozen=True):
    """One statement as it was rehearsed.

    `sql` is what the engine ran. `locks` holds those that it added to its transaction's, on tables that were
    there before, or is None where that cannot be seen; `rewritten` holds the tables, likewise, whose every row it
    wrote anew.
    """

    statement: str
    sql: str
    locks: tuple[Lock, ...] | None = ()
    rewritten: tuple[tuple[str, str], ...] = ()


class Compared(msgspec.Struct, frozen=True):
    """Columns of one table that one condition compares, all together: an index on one of them would find rows."""

    schema: str
    table: str
    columns: frozenset[str]


class Expression(msgspec.Struct, frozen=True):
    """What a condition over a table's rows does, as far as its text tells.

    `value` is what it always is, None where that depends. With `of_row` it looks at the row; without, it is the same
    for all of them. `compared` are the columns it compares, those of its subqueries' tables too, `reads` the tables
    and views in those by schema and name; `asks` tells whether there are any, and `calls` are the functions that it
    calls, by schema (``public`` where it names none) and name. `lifted` is its text with each call
    that tells who asks within a query of its own, which is run once and not once a row; None where no call is to be
    lifted.
    """

    value: bool | None
    of_row: bool
    compared: tuple[Compared, ...] = ()
    reads: frozenset[tuple[str, str]] = frozenset()
    asks: bool = False
    lifted: str | None = None
    calls: frozenset[tuple[str, str]] = frozenset()


class Body(msgspec.Struct, frozen=True):
    """What a function's statements do, as far as their text tells.

    `reads` are the tables and views that they read, by schema and name, `calls` the functions, as in `Expression`.
    """

    reads: frozenset[tuple[str, str]] = frozenset()
    calls: frozenset[tuple[str, str]] = frozenset()


class SchemaTransaction(Transaction, Protocol):
    """A transaction that changes the schema, and sees what it has changed so far."""

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views as they would be after a commit."""


class NoCopy(Exception):
    """The database cannot be copied; says why, and what would help."""


class Scratch(Protocol):
    """A place where a schema may be changed without anyone else noticing; it is gone after its ``with`` block."""

    where: str
    """What it is, for a person: ``a database in memory``."""

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views that were made here."""

    def run(self, sql: str, *, alone: bool = False) -> list[Step]:
        """Run statements together or not at all, and return what each of them did.

        With `alone` each runs outside a transaction, as `SchemaWork.alone` does. What would change the whole server
        (roles that are there, other databases) is left out. Raises `DatabaseError`.
        """

    def clear(self) -> None:
        """Make it as empty as it was at first, or, for a copy, as it was copied."""


class SchemaWork(Protocol):
    """Changes of the schema as migrations make them: no statement time-out, and taking turns with others."""

    def turn(self, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Hold the right to change the schema by migrations; one process of a deployment has it at a time.

        Calls `waiting` once if another has it. The right of a process that dies is free again.
        """

    def transaction(self, lock_timeout: float | None = None) -> AbstractContextManager[SchemaTransaction]:
        """Begin a schema transaction (`Database.schema_transaction`) without a statement time-out.

        `lock_timeout` is how many seconds to wait for a lock: a table's, or the file's on SQLite. None is what
        the settings say.
        """

    def alone(self, sql: str, lock_timeout: float | None = None) -> None:
        """Run statements one by one outside a transaction, for those that refuse to be in one.

        Raises `DatabaseError`, whose `statement` failed; those before it have happened. An engine without such
        statements runs all in one transaction.
        """

    def statements(self, sql: str) -> list[str]:
        """Return the statements of a script, each as its own text; raises `DatabaseError` (42601)."""

    def drops(self, sql: str, catalogue: Catalogue) -> list[Dropped]:
        """Return the tables and columns that statements drop, as far as their text tells, in order."""

    def expression(self, sql: str, table: Table, catalogue: Catalogue) -> Expression:
        """Return what a condition over a table's rows does; raises `DatabaseError` (42601)."""

    def reads(self, view: Table) -> frozenset[tuple[str, str]]:
        """Return the tables and views that a view reads with its caller's rights, by schema and name."""

    def body(self, function: Function) -> Body | None:
        """Return what a function of the catalogue does; None for one that is written in another language than SQL."""

    def scratch(self) -> AbstractContextManager[Scratch]:
        """Make an empty place to rehearse in; raises `DatabaseError` where the login may not."""

    def copy(self) -> AbstractContextManager[Scratch]:
        """Make a place to rehearse in that holds what the database holds, rows too; raises `NoCopy`."""

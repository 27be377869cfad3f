"""Database: the one way to data, whichever engine keeps it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any, Literal, Protocol

import msgspec

from kernel.contracts.catalogue import Catalogue, Function, Table, Write
from kernel.contracts.rights import Rights, Through, Use
from kernel.contracts.stored import StoredType
from kernel.events import Event
from kernel.http import NotInline as NotInline
from kernel.http import Unavailable
from kernel.identity import Identity

Row = tuple[Any, ...]
Params = Mapping[str, Any]

NO_PARAMS: Params = MappingProxyType({})

_OPERAND = re.compile(r"\{([a-z]+)\}")


class Compiled(msgspec.Struct, frozen=True):
    """A statement in the engine's own dialect, made by a compiler from catalogue names and bound values.

    A plain ``str`` is PostgreSQL's SQL and is translated, with the rights of who runs it, where the engine needs
    that; a `Compiled` runs as it is. `role` is the role whose rights were compiled in (`Database.rights`), or None
    where none were (`service_role`, the kernel itself).
    """

    sql: str
    role: str | None = None


class DatabaseError(Exception):
    """A statement was refused or failed.

    `sqlstate` is PostgreSQL's five-character code on both engines; `message`, `detail` and `hint` may be shown
    to a client; `schema`, `table`, `column` and `constraint` are set where the engine names them. `statement` is
    set by `Transaction.script`: the text of the one that failed.
    """

    statement: str | None = None

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str,
        detail: str | None = None,
        hint: str | None = None,
        schema: str | None = None,
        table: str | None = None,
        column: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(f"{message} (SQLSTATE {sqlstate})")
        self.message = message
        self.sqlstate = sqlstate
        self.detail = detail
        self.hint = hint
        self.schema = schema
        self.table = table
        self.column = column
        self.constraint = constraint


class DatabaseUnavailable(DatabaseError, Unavailable):
    """The database cannot be reached or is out of connections, disk or time; trying again may help."""


CLOSED = "08003"
"""The SQLSTATE where this process has closed the database; trying again does not help."""


class RequestSettings:
    """PostgreSQL's run-time parameters around the statements of one request.

    `given` returns those that they run with, by name (``search_path``, ``request.headers``); an engine asks when it
    first needs one, and may know only some. `first` is a function that is called before them, as the caller: its
    schema and name, or a name that is looked for along the search path. Where they have run for good, `left` has the
    values that parameters named in `wanted` have then.
    """

    __slots__ = ("first", "given", "left", "wanted")

    def __init__(
        self,
        given: Callable[[], Params],
        wanted: tuple[str, ...] = (),
        first: tuple[str, ...] | None = None,
    ) -> None:
        self.given = given
        self.wanted = wanted
        self.first = first
        self.left: dict[str, str] = {}


class Expression(msgspec.Struct, frozen=True):
    """An expression in the engine's SQL: `template` has its operands' names in braces, `type` is PostgreSQL's name.

    An operand may stand in it more than once: give a bound parameter or a column.
    """

    template: str
    type: str

    def over(self, **operands: str) -> str:
        """Return the SQL with operands put in."""
        return _OPERAND.sub(lambda found: operands.get(found[1], found[0]), self.template)


class Transaction(Protocol):
    """Statements that happen together or not at all.

    Parameters are written ``:name`` in the text. Values are None, bool, int, float, str and bytes. Other types
    travel as text in the form PostgreSQL gives them in JSON: timestamps as ``2024-01-01T00:00:00+00:00``, dates,
    UUIDs, exact numerics (``1.50``), arrays (``["a", null]``) and JSON itself; booleans may come back as 0 and 1.
    """

    def query(self, statement: str | Compiled, params: Params = NO_PARAMS) -> list[Row]:
        """Run one statement and return its rows; a write returns what its RETURNING clause names.

        Raises `DatabaseError`, after which the transaction can only be rolled back.
        """

    def execute(self, statement: str | Compiled, params: Params = NO_PARAMS) -> int:
        """Run one statement and return how many rows it changed. Raises as `query` does."""

    def script(self, sql: str) -> None:
        """Run several statements of PostgreSQL's SQL, separated by semicolons, without parameters."""

    def publish(self, event: Event) -> None:
        """Publish `event` on the kernel's bus after the commit; never after a rollback."""

    def on_behalf_of(self, identity: Identity | None) -> Transaction:
        """Return this same transaction with the rights of `identity`; None is the kernel's own.

        So a plugin writes to a table of its own beside what a caller's rights let the caller do.
        """

    def savepoint(self) -> AbstractContextManager[None]:
        """Begin a part: where its block raises, what it did is undone, and the transaction goes on."""

    def undo(self) -> None:
        """Have nothing stay of it at its end; what a commit would have refused is an error all the same."""


class Database(Protocol):
    """A database that speaks PostgreSQL's SQL.

    One statement is expected where one is named: a text that holds two is refused (SQLSTATE 42601).
    """

    engine: Literal["sqlite", "postgresql"]

    @property
    def catalogue(self) -> Catalogue:
        """The tables and views as they are now; the same object until the schema changes, in any process."""

    def query(
        self,
        statement: str | Compiled,
        params: Params = NO_PARAMS,
        *,
        identity: Identity | None = None,
        inline: bool = False,
        settings: RequestSettings | None = None,
    ) -> list[Row]:
        """Run one reading statement outside any transaction of the caller's and return its rows.

        With an `identity` it runs with the rights of its role, and a `Compiled` must have been made for that role;
        without one it runs with the kernel's own. A missing right is 42501. `settings` are the identity's.
        It sees all that was committed before it began and never waits for a writer. A statement that writes is
        refused (25006). With `inline` it runs under a small budget on the event loop's own connection and
        raises `NotInline` past it; the gateway then runs the handler again in a thread. Otherwise it is
        interrupted after the engine's statement time-out (57014).
        """

    def stream(
        self,
        statement: str | Compiled,
        params: Params = NO_PARAMS,
        *,
        identity: Identity | None = None,
        settings: RequestSettings | None = None,
    ) -> Iterator[list[Row]]:
        """Run one reading statement as `query` does, and yield its rows, some at a time, while it runs.

        So many rows take little memory. The statement time-out counts until the last is taken: take them without
        waiting for anyone. Close the iterator to end the statement early.
        """

    def transaction(
        self, identity: Identity | None = None, settings: RequestSettings | None = None
    ) -> AbstractContextManager[Transaction]:
        """Begin a writing transaction: commits when the block ends, rolls back when it raises.

        With an `identity`, statements run with the rights of its role, and `settings`, as in `query`.
        Transactions do not nest.
        """

    def schema_transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction that changes the schema.

        An engine that has to rebuild tables does not enforce foreign keys within it and checks them before the
        commit. Afterwards every process drops the catalogue it holds.
        """

    def rights(self, role: str | None, table: Table, use: Use) -> Rights:
        """Return what a compiler writes into a statement over `table` that will run for `role`.

        None, and ``service_role``, are without bounds. The statement is then a `Compiled` of that role. Raises
        `DatabaseError` where the engine finds already that the role may not (42501), that it does not exist
        (22023), or that its policies never end (42P17); otherwise that shows when the statement runs.
        """

    def through(self, role: str | None, view: Table, command: Write) -> Through | None:
        """Return how a compiler has a statement of `role` write to a view; None where the engine does it by itself.

        Raises `DatabaseError` 55000 where the view cannot be written through, else as `rights` does.
        """

    def call_of_row(self, role: str | None, function: Function, table: Table, row: str) -> str:
        """Return the call of a function whose one argument is a row: that of `table` called `row` in the statement.

        It is one value or, of a function that returns rows, what FROM reads, which still needs an alias. `role` and
        errors are as in `rights`; the engine may refuse the function (0A000).
        """

    def stored(self, type: str) -> StoredType:  # noqa: A002 - what PostgreSQL calls it
        """Return how this engine keeps values of a column's declared type (`Column.type`).

        The same object for the same name. Raises `DatabaseError` for a type that does not exist (42704) or
        that the engine refuses (0A000).
        """

    def expression(self, text: str, operands: Mapping[str, str]) -> Expression:
        """Return an expression of PostgreSQL's SQL over operands as the engine has it, its type included.

        `operands` names their types; `text` has their names in braces: ``{left} @> {right}``, ``sum({value})``. Kept
        by text and types until the schema changes. Raises `DatabaseError` where types and operator or function do not
        fit (42883) or the engine refuses it (0A000). Comparisons of stored values of one type (``= <> < <= > >= in, is
        distinct from``) are written the same on every engine.
        """

"""Records: rows of tables, asked for and changed by a typed query tree, under the caller's rights.

Who speaks to clients (REST, GraphQL) parses its own syntax into the tree of `kernel.contracts.queries`; the provider
plans it against the catalogue and runs it as one statement.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from kernel.contracts.catalogue import Function, Table
from kernel.contracts.database import RequestSettings, Transaction
from kernel.contracts.queries import Call, Delete, Insert, Select, Update
from kernel.contracts.relationships import Relationship
from kernel.identity import Identity


class Page(msgspec.Struct, frozen=True):
    """Rows as a JSON array of objects, how many they are, and where asked for the `total` without limit."""

    body: bytes
    count: int
    total: int | None = None


class Written(msgspec.Struct, frozen=True):
    """What a write did: the number of rows, and what `returning` asked for as a JSON array of objects.

    `inserted` tells, for an insert that may merge, whether any row was new.
    """

    count: int
    body: bytes = b""
    inserted: bool = True


class Called(msgspec.Struct, frozen=True):
    """What a function returned: rows as in `Page`, or with `single` one value as JSON; nothing if it `is_void`."""

    body: bytes
    count: int
    total: int | None = None
    single: bool = False
    is_void: bool = False


class Medium(msgspec.Struct, frozen=True):
    """The media type of what a function returns, ``*/*`` for any, and the `type` (``text``, ``bytea``) of its values.

    It is that of a function whose return type is a domain of that name, and which returns one value.
    """

    name: str
    type: str


class RecordsError(Exception):
    """The tree asks for what the catalogue or the provider does not have."""


class UnknownTable(RecordsError):
    """There is no such table; `suggestion` is the name of the nearest one, if any is near."""

    def __init__(self, schema: str, table: str, suggestion: str | None = None) -> None:
        super().__init__(f"there is no table {schema}.{table}")
        self.schema = schema
        self.table = table
        self.suggestion = suggestion


class NoRelationship(RecordsError):
    """Nothing relates `table` to what an embed names.

    `suggestion` is the nearest name that would do `instead_of` the relation's, or of the table's if that is not
    related to anything; None if no such name is near.
    """

    def __init__(
        self,
        schema: str,
        table: str,
        relation: str,
        hint: str | None,
        suggestion: str | None,
        instead_of: str | None = None,
    ) -> None:
        super().__init__(f"there is no relationship between {schema}.{table} and {relation}")
        self.schema = schema
        self.table = table
        self.relation = relation
        self.hint = hint
        self.suggestion = suggestion
        self.instead_of = relation if instead_of is None else instead_of


class AmbiguousRelationship(RecordsError):
    """Several relationships fit what an embed names."""

    def __init__(self, table: str, relation: str, candidates: tuple[Relationship, ...]) -> None:
        super().__init__(f"{len(candidates)} relationships are between {table} and {relation}")
        self.table = table
        self.relation = relation
        self.candidates = candidates


class NotToOne(RecordsError):
    """An order by a related row's column, where there may be several rows."""

    def __init__(self, table: str, relation: str) -> None:
        super().__init__(f"{table} and {relation} do not form a many-to-one or one-to-one relationship")
        self.table = table
        self.relation = relation


class NotEmbedded(RecordsError):
    """An order by the column of something that the query does not embed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not embedded in the query")
        self.name = name


class UnknownFunction(RecordsError):
    """No function of this name takes arguments of these names, or the one of type `whole`.

    `suggestion` is the nearest name, or if that is right, it with the nearest arguments in parentheses; if any is near.
    """

    def __init__(
        self,
        schema: str,
        function: str,
        names: tuple[str, ...],
        suggestion: str | None = None,
        whole: str | None = None,
    ) -> None:
        super().__init__(f"there is no function {schema}.{function} with these arguments")
        self.schema = schema
        self.function = function
        self.names = names
        self.suggestion = suggestion
        self.whole = whole


class AmbiguousFunction(RecordsError):
    """Several functions of this name take arguments of these names: `candidates`."""

    def __init__(self, candidates: tuple[Function, ...]) -> None:
        super().__init__(f"{len(candidates)} functions fit the call of {candidates[0].name}")
        self.candidates = candidates


class UnknownColumn(RecordsError):
    """A write names a column that the table does not have."""

    def __init__(self, table: str, column: str) -> None:
        super().__init__(f"the table {table} has no column {column}")
        self.table = table
        self.column = column


class Unsupported(RecordsError):
    """The engine cannot do this, or not yet; the message says what and may be shown to a client."""


class WrongCount(RecordsError):
    """Exactly one row was wanted, and `count` were found; nothing was written."""

    def __init__(self, count: int) -> None:
        super().__init__(f"exactly one row was wanted, {count} were found")
        self.count = count


class TooManyAffected(RecordsError):
    """A write would have changed `count` rows, more than it allowed; nothing was written."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the write would have changed {count} rows")
        self.count = count


class Records(Protocol):
    """The rows of the project's tables, under an identity's rights.

    Every method raises `RecordsError` where the tree does not fit the catalogue, and `DatabaseError` where
    the database would or did refuse: a value that does not fit its column's type (22P02), a right that is
    missing (42501), a constraint. An `identity` of None is an anonymous caller.
    """

    def table(self, table: str, schema: str, identity: Identity | None) -> Table:
        """Return what the catalogue says of a table on which the identity has any right."""

    def under(self, settings: RequestSettings) -> Records:
        """Return the same records, whose statements run with a request's settings."""

    def together(self, identity: Identity | None) -> AbstractContextManager[Records]:
        """Begin a transaction: what the yielded records do for this identity happens together or not at all.

        They see what they have written so far. The transaction is rolled back when the block raises.
        """

    def within(self, transaction: Transaction, identity: Identity | None) -> Records:
        """Return records that do what they do in a transaction of this identity's, as those of `together` do."""

    def read(self, query: Select, identity: Identity | None, *, inline: bool = False) -> Page:
        """Answer `query` with one statement; `inline` is as in `Database.query`."""

    def stream(self, query: Select, identity: Identity | None) -> Iterator[list[str]]:
        """Answer `query` with rows as JSON objects, some at a time, so that many take little memory.

        Nothing is counted. Take them all without waiting for anyone, or close the iterator.
        """

    def function(self, call: Call, identity: Identity | None) -> Function:
        """Return the function that a call means, by the names of its arguments.

        Raises `UnknownFunction` or `AmbiguousFunction`.
        """

    def callable(self, schema: str, identity: Identity | None) -> tuple[Function, ...]:
        """Return the functions of a schema that are in no catalogue, but in Python, and that the identity may call."""

    def medium(self, function: Function) -> Medium | None:
        """Return the media type that a function declares, if it does."""

    def call(self, call: Call, identity: Identity | None) -> Called:
        """Call a function and return what is wanted of its rows; what it wrote stays, unless it or this fails."""

    def insert(self, insert: Insert, identity: Identity | None) -> Written:
        """Write new rows, all or none."""

    def update(self, update: Update, identity: Identity | None) -> Written:
        """Change rows, all or none."""

    def delete(self, delete: Delete, identity: Identity | None) -> Written:
        """Delete rows, all or none."""

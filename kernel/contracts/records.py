"""Records: rows of tables, asked for and changed by a typed query tree, under the caller's rights.

Who speaks to clients (REST, GraphQL) parses its own syntax into this tree; the provider plans it against the
catalogue and runs it as one statement. Names in the tree are the client's: the provider resolves every one of
them against the catalogue. Values are the client's text: the provider reads each by its column's type.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from kernel.contracts.catalogue import Table
from kernel.identity import Identity

Operator = Literal["eq", "neq", "gt", "gte", "lt", "lte", "isdistinct", "like", "ilike", "match", "imatch"]


class Step(msgspec.Struct, frozen=True):
    """One step into a JSON value: an object's key or an array's index (negative counts from the end).

    `as_text` is PostgreSQL's ``->>``: the value found there, as text; otherwise ``->``: as JSON.
    """

    key: str | int
    as_text: bool = False


class Field(msgspec.Struct, frozen=True):
    """A column, or what stands at `path` inside its JSON."""

    column: str
    path: tuple[Step, ...] = ()


class Item(msgspec.Struct, frozen=True):
    """One member of the answer's objects; `field` is None for ``*``, all columns of the table.

    `alias` names the member, by default the last key of the path, else the column. `cast` is a type's name.
    """

    field: Field | None = None
    alias: str | None = None
    cast: str | None = None


class Comparison(msgspec.Struct, frozen=True):
    """`field` compared with `value`, the client's text for a value of the field's type.

    In the patterns of ``like`` and ``ilike``, ``%`` and ``_`` are wild and a backslash escapes; ``match`` and
    ``imatch`` take regular expressions. With a `quantifier`, `value` is an array literal (``{a,b}``), and the
    comparison holds for any or for all of its elements.
    """

    field: Field
    operator: Operator
    value: str
    negated: bool = False
    quantifier: Literal["any", "all"] | None = None


class Membership(msgspec.Struct, frozen=True):
    """`field` equals one of `values`."""

    field: Field
    values: tuple[str, ...]
    negated: bool = False


class Is(msgspec.Struct, frozen=True):
    """`field` is null, not null, or one of the three truth values."""

    field: Field
    value: Literal["null", "not_null", "true", "false", "unknown"]
    negated: bool = False


class Logic(msgspec.Struct, frozen=True):
    """Conditions joined by ``and`` or ``or``; at least one."""

    operator: Literal["and", "or"]
    conditions: tuple[Condition, ...]
    negated: bool = False


Condition = Comparison | Membership | Is | Logic


class Order(msgspec.Struct, frozen=True):
    """One term of an order; without `nulls`, they come last when ascending and first when descending."""

    field: Field
    descending: bool = False
    nulls: Literal["first", "last"] | None = None


ALL: tuple[Item, ...] = (Item(),)
"""The selection of every column."""


class Select(msgspec.Struct, frozen=True):
    """Rows of a table that meet every condition of `where`, from `offset` on, at most `limit`.

    With `counted`, the answer's `total` says how many there are without limit and offset.
    """

    table: str
    schema: str = "public"
    items: tuple[Item, ...] = ALL
    where: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    counted: bool = False


class Conflict(msgspec.Struct, frozen=True):
    """What an insert does with a row that is there already: ignore the new one, or merge it into the old.

    `columns` names the unique columns that decide; by default the primary key.
    """

    action: Literal["ignore", "merge"]
    columns: tuple[str, ...] = ()


class Insert(msgspec.Struct, frozen=True):
    """New rows: `rows` is the text of a JSON array of `size` objects, whose members are named as columns.

    Only `columns` are written. A row that lacks one gets null there, or with `defaults` the column's default.
    `returning` names the members of the answer's objects, or is None where no body is wanted. With `single`,
    anything but exactly one row written is an error; nothing is then written at all.
    """

    table: str
    columns: tuple[str, ...]
    rows: str
    size: int
    schema: str = "public"
    conflict: Conflict | None = None
    defaults: bool = False
    returning: tuple[Item, ...] | None = None
    single: bool = False


class Update(msgspec.Struct, frozen=True):
    """New values for the rows that meet every condition: `values` is the text of one JSON object.

    Only `columns` are written. A member that the object lacks is null, or with `defaults` the column's default.
    A value that does not fit its column is refused even where no row meets the conditions.
    More than `max_affected` rows is an error, and changes none; `returning` and `single` are as in `Insert`.
    """

    table: str
    columns: tuple[str, ...]
    values: str
    schema: str = "public"
    where: tuple[Condition, ...] = ()
    defaults: bool = False
    returning: tuple[Item, ...] | None = None
    single: bool = False
    max_affected: int | None = None


class Delete(msgspec.Struct, frozen=True):
    """Rows to delete: those that meet every condition. The rest is as in `Update`."""

    table: str
    schema: str = "public"
    where: tuple[Condition, ...] = ()
    returning: tuple[Item, ...] | None = None
    single: bool = False
    max_affected: int | None = None


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


class RecordsError(Exception):
    """The tree asks for what the catalogue or the provider does not have."""


class UnknownTable(RecordsError):
    """There is no such table; `suggestion` is the name of the nearest one, if any is near."""

    def __init__(self, schema: str, table: str, suggestion: str | None = None) -> None:
        super().__init__(f"there is no table {schema}.{table}")
        self.schema = schema
        self.table = table
        self.suggestion = suggestion


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

    def read(self, query: Select, identity: Identity | None, *, inline: bool = False) -> Page:
        """Answer `query` with one statement; `inline` is as in `Database.query`."""

    def insert(self, insert: Insert, identity: Identity | None) -> Written:
        """Write new rows, all or none."""

    def update(self, update: Update, identity: Identity | None) -> Written:
        """Change rows, all or none."""

    def delete(self, delete: Delete, identity: Identity | None) -> Written:
        """Delete rows, all or none."""

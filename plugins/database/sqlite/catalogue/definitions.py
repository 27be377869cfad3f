"""What SQLite keeps of a table or a view beyond the catalogue, so that it can be written anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Domain, Function, Origin, Table

Node = dict[str, Any]

CALLED = "()"
"""What stands for the column where a view does not read one, but calls a function (by its signature)."""


class Check(msgspec.Struct, frozen=True):
    """A check constraint: its name, and its expression as PostgreSQL's grammar reads it."""

    name: str
    expression: Node


class IndexSource(msgspec.Struct, frozen=True):
    """What an index that no constraint owns was made from: its keys, its WHERE clause, and what it includes.

    An index of another `method` than a tree answers nothing here that SQLite's would: it is kept by name only.
    """

    keys: tuple[Node, ...]
    where: Node | None = None
    included: tuple[Node, ...] = ()
    method: str = "btree"

    @property
    def is_built(self) -> bool:
        """Whether the file has it."""
        return self.method in ("btree", "hash")


class Simple(msgspec.Struct, frozen=True):
    """The query of a view that can be written through: of one relation, a row of the view for a row of that.

    The relation `schema.name` goes by `alias` in the expressions of its columns, `targets`, and in `where`. `check`
    is the view's check option: ``local``, ``cascaded`` or None.
    """

    schema: str
    name: str
    alias: str
    targets: Mapping[str, Node]
    where: Node | None = None
    check: str | None = None

    @property
    def is_updatable(self) -> bool:
        """Whether any column of the view is a column of the relation."""
        return any("ColumnRef" in node for node in self.targets.values())


class Partitioned(msgspec.Struct, frozen=True):
    """What a partitioned table's rows are told apart by: ``range``, ``list`` or ``hash`` of columns."""

    strategy: str
    columns: tuple[str, ...]


class Definition(Table, frozen=True):
    """A table or a view as it was defined.

    `generated` holds the expressions of generated columns, `primary` the name of the primary key's constraint,
    `unique` those of unique constraints, `deferred` those of foreign keys that are checked at the commit,
    `indexed` what the other indexes were made from. A view `reads` columns: schema, relation and name of each
    (the name is empty for the relation itself, and `CALLED` for a function). It `shows` columns of tables and of
    other views: its `origins` follow from that. It is `simple`, or `fixed` says why nothing can be written through
    it. Of a `partitioned` table, a partition is a view; `partition` is the condition in PostgreSQL's SQL that its rows
    meet, or the empty text for the default one.
    """

    checks: tuple[Check, ...] = ()
    generated: Mapping[str, Node] = {}
    primary: str | None = None
    unique: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()
    indexed: Mapping[str, IndexSource] = {}
    reads: tuple[tuple[str, str, str], ...] = ()
    shows: Mapping[str, Origin] = {}
    simple: Simple | None = None
    fixed: str | None = None
    partitioned: Partitioned | None = None
    partition: str | None = None


VALUE = '"kernel.value"'
"""What stands for the value in the SQL of a domain's checks."""


class DomainSource(Domain, frozen=True):
    """A domain as it was defined: its checks in SQLite's SQL over `VALUE`, by name."""

    tests: Mapping[str, str] = {}


class Routine(Function, frozen=True):
    """A function as it was defined: the trees of its statements and of its arguments' defaults.

    A `strict` one is NULL, or no rows, where an argument is NULL.
    """

    statements: tuple[Node, ...] = ()
    defaults: tuple[Node | None, ...] = ()
    strict: bool = False


def defined(table: Table) -> Definition:
    """Return a table of this engine's catalogue as what it is."""
    if not isinstance(table, Definition):
        raise TypeError(f"the table {table.name} does not come from SQLite's catalogue")
    return table


def definitions(catalogue: Catalogue) -> list[Definition]:
    """Return all tables and views."""
    return [defined(table) for table in catalogue.tables.values()]

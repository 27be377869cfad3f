"""Statements ready to run: translated once per distinct text, kept while the schema stays the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import msgspec

from kernel.contracts.catalogue import Catalogue, DefaultGrant, Domain, Enum, Function, Role, Table
from kernel.contracts.database import DatabaseError

Kind = Literal["read", "write", "schema"]


class Usage(msgspec.Struct, frozen=True):
    """The roles that may use what is in a schema."""

    roles: frozenset[str] = frozenset()


class Defaults(msgspec.Struct, frozen=True):
    """What tables made from now on are granted."""

    grants: tuple[DefaultGrant, ...] = ()


class Change(msgspec.Struct, frozen=True):
    """What a schema statement does to the catalogue: the table as it is afterwards, or None where it is gone.

    With `is_schema` it is about the schema itself, with `function` about that (`name` is its signature); either is
    made, or dropped if it `is_gone`. A schema has no name, a role no schema, and the grants that tables begin with
    have neither; `value` is what they are afterwards, or an enumeration or a domain.
    """

    schema: str
    name: str
    table: Table | None = None
    is_schema: bool = False
    function: Function | None = None
    is_gone: bool = False
    value: Role | Usage | Defaults | Enum | Domain | None = None


REBUILT = "kernel.rebuilt"
"""The name of a table while it is written anew."""


class Rebuild(msgspec.Struct, frozen=True):
    """A table to be written anew: `create` makes it as `REBUILT`, which takes the rows and then the old one's place.

    `columns` (quoted) take `values`, which are expressions over the old table, named `table` in the file,
    in the order of its `rowid`; `numbered` tells that the new table counts its rows.
    """

    table: str
    create: str
    columns: tuple[str, ...]
    values: tuple[str, ...]
    rowid: str
    indexes: tuple[str, ...]
    numbered: bool


ROWS, OLD_ROWS, NEW_ROWS = "kernel::rows", "kernel::old", "kernel::new"
"""How parameters begin that carry rows from one step to the next: what it returned, and what it changed."""


class Step(msgspec.Struct, frozen=True):
    """A part of a statement that runs before the rest, which finds its rows in a parameter called `ROWS` and `name`.

    With the first step of a statement, which `begins` it, the tables are as it finds them.
    """

    sql: str
    name: str
    begins: bool = False


class Plan(msgspec.Struct, frozen=True):
    """One statement of PostgreSQL's SQL in SQLite's.

    Where `kind` is ``schema``, `sql` may hold several statements, and `rebuilds` follow them. `tag` names the
    statement in messages, `violation` is the error to raise where rows that are there do not fit and SQLite does
    not say what is wrong with them, `checked` the tables (as named in the file) whose foreign keys are to be
    looked at at once. `width` is the number of columns of the one row that a function's call returns, whatever
    number the statement does. `steps` come before `sql`; they note what they change in the `watched` tables (as named
    in the file). `columns` are those that a statement with RETURNING gives: names and types.
    """

    kind: Kind
    sql: str
    tag: str
    changes: tuple[Change, ...] = ()
    violation: DatabaseError | None = None
    rebuilds: tuple[Rebuild, ...] = ()
    checked: tuple[str, ...] = ()
    width: int = 0
    steps: tuple[Step, ...] = ()
    watched: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()


class Plans:
    """The plans of the statements used last, at most `size` of them."""

    def __init__(self, translate: Callable[[str, Catalogue, str | None], Plan], size: int = 1000) -> None:
        self._translate = translate
        self._size = size
        self._plans: OrderedDict[tuple[str, str | None], tuple[int, Plan]] = OrderedDict()

    def plan(self, text: str, catalogue: Catalogue, role: str | None = None) -> Plan:
        """Return the plan of one statement with a role's rights in it, unless that is None.

        Raises `DatabaseError` for one that is wrong, not supported, or not for this role.
        """
        key = (text, role)
        found = self._plans.get(key)
        if found is not None and found[0] == catalogue.version:
            return found[1]
        plan = self._translate(text, catalogue, role)
        self._plans[key] = (catalogue.version, plan)
        while len(self._plans) > self._size:
            # Another thread may have emptied it in between; popitem on an empty one would raise.
            oldest = next(iter(self._plans), key)
            self._plans.pop(oldest, None)
        return plan

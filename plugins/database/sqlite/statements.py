"""Statements ready to run: translated once per distinct text, kept while the schema stays the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import msgspec

from kernel.contracts.catalogue import Catalogue, Function, Table
from kernel.contracts.database import DatabaseError

Kind = Literal["read", "write", "schema"]


class Change(msgspec.Struct, frozen=True):
    """What a schema statement does to the catalogue: the table as it is afterwards, or None where it is gone.

    With `is_schema` it is about the schema itself, with `function` about that (`name` is its signature); either is
    made, or dropped if it `is_gone`.
    """

    schema: str
    name: str
    table: Table | None = None
    is_schema: bool = False
    function: Function | None = None
    is_gone: bool = False


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


class Plan(msgspec.Struct, frozen=True):
    """One statement of PostgreSQL's SQL in SQLite's.

    Where `kind` is ``schema``, `sql` may hold several statements, and `rebuilds` follow them. `tag` names the
    statement in messages, `violation` is the error to raise where rows that are there do not fit and SQLite does
    not say what is wrong with them, `checked` the tables (as named in the file) whose foreign keys are to be
    looked at at once. `width` is the number of columns of the one row that a function's call returns, whatever
    number the statement does.
    """

    kind: Kind
    sql: str
    tag: str
    changes: tuple[Change, ...] = ()
    violation: DatabaseError | None = None
    rebuilds: tuple[Rebuild, ...] = ()
    checked: tuple[str, ...] = ()
    width: int = 0


class Plans:
    """The plans of the statements used last, at most `size` of them."""

    def __init__(self, translate: Callable[[str, Catalogue], Plan], size: int = 1000) -> None:
        self._translate = translate
        self._size = size
        self._plans: OrderedDict[str, tuple[int, Plan]] = OrderedDict()

    def plan(self, text: str, catalogue: Catalogue) -> Plan:
        """Return the plan of one statement; raises `DatabaseError` for one that is wrong or not supported."""
        found = self._plans.get(text)
        if found is not None and found[0] == catalogue.version:
            return found[1]
        plan = self._translate(text, catalogue)
        self._plans[text] = (catalogue.version, plan)
        while len(self._plans) > self._size:
            # Another thread may have emptied it in between; popitem on an empty one would raise.
            oldest = next(iter(self._plans), None)
            self._plans.pop(oldest or "", None)
        return plan

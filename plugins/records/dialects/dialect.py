"""What differs between engines in the statements that `compiler` makes."""

from __future__ import annotations

from collections.abc import Container
from typing import Literal, Protocol

import msgspec

from kernel.contracts.catalogue import Argument, Function, Table
from kernel.contracts.queries import Call, Explain, Step
from kernel.contracts.rights import Rights


class Member(msgspec.Struct, frozen=True):
    """One member of the answer's objects: its name, and the engine's SQL for its value.

    The value is what the engine's JSON functions take, or with `raw` JSON as text (as `Dialect.single` makes it).
    """

    name: str
    value: str
    raw: bool = False


class Assignment(msgspec.Struct, frozen=True):
    """A column, the template that turns a JSON member's text into its value, and the member's name."""

    column: str
    template: str
    member: str


class Upsert(msgspec.Struct, frozen=True):
    """On a conflict over `target`, write `merged` columns over the old row; none of them leaves it alone."""

    target: tuple[str, ...]
    merged: tuple[str, ...]


class Called(msgspec.Struct, frozen=True):
    """A call as a query.

    Where an engine wants calls to stand alone, `first` is the call in PostgreSQL's SQL, its parameters ``a0`` and so
    on the arguments that are given, and the parameter ``rows`` of `query` holds its rows as JSON.
    """

    query: str
    first: str | None = None


class Dialect(Protocol):
    """Writes SQL for one engine. Names come from the catalogue; parameters are given by name."""

    everything: str
    """The limit that is none."""

    explain: str | None
    """What has the planner tell, as JSON, what it expects of a statement; None where it tells nothing like that."""

    locks: str
    """What has a read lock its rows; nothing where a transaction that writes is alone."""

    def name(self, name: str) -> str:
        """Quote a name."""
        return '"' + name.replace('"', '""') + '"'

    def literal(self, text: str) -> str:
        """Quote a text that comes from the catalogue."""
        return "'" + text.replace("'", "''") + "'"

    def alias(self, table: Table) -> str:
        """Return what a statement calls its table, quoted."""

    def json_path(self, steps: tuple[Step, ...]) -> str:
        """Return the text of the parameter that holds a path into JSON."""

    def json_at(self, json: str, path: str) -> str:
        """Return the value at `path` (a parameter) inside `json`, as JSON."""

    def text_at(self, json: str, path: str, template: str | None) -> str:
        """Return the value at `path` (a parameter) inside `json`, as text.

        `template` turns JSON into PostgreSQL's text; None leaves it as it is written.
        """

    def member_of(self, left: str, template: str, values: str) -> str:
        """Test whether `left` equals one of `values`, a parameter holding a JSON array of texts.

        `template` reads one text.
        """

    def read_all(self, template: str, values: str) -> str:
        """Read every one of `values`, a parameter holding a JSON array of texts, for the errors' sake."""

    def any_of(self, test: str, values: str) -> str:
        """Test whether `test` holds for any element of `values`; in it ``{}`` is the element.

        NULL where it holds for none and is NULL for some; all elements are read.
        """

    def all_of(self, test: str, values: str) -> str:
        """Test whether `test` holds for all elements of `values`; NULL as in `any_of`."""

    def order(self, value: str, *, descending: bool, nulls: Literal["first", "last"] | None) -> str:
        """Write one term of an order; `nulls` is None where there are none."""
        return f"{value} {'DESC' if descending else 'ASC'}{f' NULLS {nulls.upper()}' if nulls else ''}"

    def part(self, limit: int | None, offset: str | None) -> str:
        """Write which part of the rows is wanted; `offset` is a number or a parameter, None where none is skipped.

        A planner that does not know limit and offset plans for a tenth of all rows, and PostgreSQL would then plan
        every execution anew: so the limit stands in the text, and an offset only where there is one.
        """
        skipped = "" if offset is None else f" OFFSET {offset}"
        return f" LIMIT {self.everything if limit is None else limit}{skipped}"

    def at_most(self, limit: int, source: str) -> str:
        """Write a source of no more rows than a limit, to be counted."""
        return f"FROM (SELECT 1 {source}{self.part(limit, None)}) _"

    def key(self, value: str) -> str:
        """Write a value so that it can be given back to be sorted by."""

    def kept_key(self, place: int, type_name: str) -> str:
        """Write the key at a place of those that `sorting` is given, as a value of its type."""

    def sorting(self, terms: list[str]) -> str:
        """Sort what is in the parameter ``rows``; see `Plan`."""

    def explaining(self, how: Explain) -> str:
        """Write what has a statement explained; raises `Unsupported`."""

    def object(self, members: list[Member]) -> str:
        """Build a row's JSON object, as text."""

    def page(self, members: list[Member], source: str, ending: str, counted: str | None) -> str:
        """Return one row: how many rows there are, their JSON array as text, and the number of those in `counted`."""

    def array(self, members: list[Member], source: str, ending: str) -> str:
        """Select the JSON array of all rows, as a member's raw value."""

    def single(self, members: list[Member], source: str, ending: str) -> str:
        """Select the JSON object of the one row there may be, as a member's raw value; or of all, one by one."""

    def values(self, member: Member, source: str, ending: str) -> str:
        """Select the JSON array of one member of all rows, as a member's raw value."""

    def scalar(self, member: Member, source: str, ending: str) -> str:
        """Select one member of the one row there may be, as a member's raw value."""

    def groupable(self, member: Member) -> str:
        """Write a member's value so that rows can be grouped by it."""

    def ungrouped(self, cell: str) -> str:
        """Return a raw value from what `groupable` wrote."""

    def called(
        self,
        function: Function,
        call: Call,
        columns: list[Assignment],
        rows: Container[Argument],
        *,
        is_row: bool,
    ) -> Called:
        """Write a call as a query of the columns that it returns; what is not a row is one named as the function.

        The parameter ``arguments`` holds the call's, of which `rows` take whole rows of a table.
        """

    def given(self, table: Table, columns: list[Assignment]) -> str:
        """Write a query of the rows in the parameter ``rows``, a JSON array of objects with the columns of `table`."""

    def each(self, member: Member, source: str, ending: str, counted: str | None) -> str:
        """Return what `page` does for rows that are one value each, without objects around them."""

    def insert(
        self,
        table: Table,
        rights: Rights,
        columns: list[Assignment],
        upsert: Upsert | None,
        row: str | None,
    ) -> str:
        """Insert the objects in the parameter ``rows`` and return each new row's JSON, if `row` makes it."""

    def insert_defaults(self, table: Table, rights: Rights, row: str | None) -> str:
        """Insert one row of defaults."""

    def has_new(self, table: Table, rights: Rights, keys: list[Assignment]) -> str:
        """Tell whether any of the objects in the parameter ``rows`` has keys that are not in the table."""

    def read_row(self, table: Table, columns: list[Assignment]) -> list[str]:
        """Read the members of the object in the parameter ``row``, for the errors' sake."""

    def update(
        self, table: Table, rights: Rights, columns: list[Assignment], where: str | None, row: str | None
    ) -> str:
        """Set columns from the object in the parameter ``row``; return the rows' JSON, if `row` makes it."""

    def delete(self, table: Table, rights: Rights, where: str | None, row: str | None) -> str:
        """Delete rows, and return their JSON, if `row` makes it."""


def fill(template: str, expression: str) -> str:
    """Put an expression into a template of `StoredType`, wherever it has ``{}``."""
    return template.replace("{}", expression)

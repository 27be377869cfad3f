"""One ALTER TABLE on its way: the table as its commands leave it, and what does that in the file."""

from __future__ import annotations

from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Column
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Definition
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.schema.dependents import Dropped, key_of
from plugins.database.sqlite.translate.schema.tables.building import TableBuilder
from plugins.database.sqlite.translate.schema.tables.rebuilding import rebuild
from plugins.database.sqlite.translate.scope import file_name


class Alteration:
    """`table` is what the commands so far have made of `before`.

    `values` holds the SQL, over the old table, of columns that do not keep what they held; `retyped` names the
    columns that have another type.
    """

    def __init__(self, before: Definition, parsed: Parsed, catalogue: Catalogue) -> None:
        self.before = before
        self.table = before
        self.parsed = parsed
        self.catalogue = catalogue
        self.values: dict[str, str] = {}
        self.retyped: set[str] = set()
        self.dropped = Dropped(catalogue, [key_of(before)])
        self._sql: list[str] = []
        self._anew = False
        self._violation: DatabaseError | None = None
        self._checked = False

    def builder(self) -> TableBuilder:
        """Return what adds to the table as it is now."""
        return TableBuilder(self.table, self.parsed, self.catalogue)

    def change(self, **values: Any) -> None:
        """Give the definition other values."""
        self.table = msgspec.structs.replace(self.table, **values)

    def column(self, name: str) -> Column:
        """Return a column of the table; raises 42703."""
        if name not in self.table.columns:
            raise DatabaseError(
                f'column "{name}" of relation "{self.table.name}" does not exist',
                sqlstate="42703",
                table=self.table.name,
                column=name,
            )
        return self.table.columns[name]

    def change_column(self, name: str, **values: Any) -> None:
        """Give a column other values."""
        changed = msgspec.structs.replace(self.table.columns[name], **values)
        self.change(columns={**self.table.columns, name: changed})

    def in_place(self, *clauses: str, violation: DatabaseError | None = None) -> None:
        """Have SQLite alter the table; `violation` is the error for rows that are there and do not fit."""
        self.also(*(f"ALTER TABLE {file_name(self.before)} {clause}" for clause in clauses))
        if violation is not None and self._violation is not None:
            self._anew = True  # SQLite would not say which of the two it was
        self._violation = self._violation or violation

    def also(self, *statements: str) -> None:
        """Run statements beside the table's, unless it is written anew."""
        self._sql += statements

    def anew(self) -> None:
        """Have the table written anew, with all its changes."""
        self._anew = True

    def check_references(self) -> None:
        """Have the table's foreign keys looked at when all is done."""
        self._checked = True

    def plan(self) -> Plan:
        """Return the plan of the whole statement."""
        rebuilds = self.dropped.rebuilds
        if self._anew:
            rebuilds = [rebuild(self.before, self.table, self.catalogue, self.values), *rebuilds]
        return Plan(
            "schema",
            "; ".join([*self.dropped.sql, *([] if self._anew else self._sql)]),
            "ALTER TABLE",
            (Change(*key_of(self.table), self.table), *self.dropped.changes),
            None if self._anew else self._violation,
            tuple(rebuilds),
            (file_name(self.table),) if self._checked else (),
        )

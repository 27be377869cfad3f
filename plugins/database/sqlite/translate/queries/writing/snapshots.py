"""Tables as a statement found them, for parts of it that run after others have written.

PostgreSQL runs all parts of one WITH on the same snapshot. Here they run one after the other, and what they change
is noted: a later part reads a table without the rows that are changed, and with what they were before.
"""

from __future__ import annotations

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import engine_name, quote, rowid_of
from plugins.database.sqlite.statements import NEW_ROWS, OLD_ROWS
from plugins.database.sqlite.translate.queries.writing.carried import spread_query

Key = tuple[str, str]


class Snapshot:
    """What the parts of a statement that were emitted so far change; `watched` are the tables to note it of."""

    def __init__(self) -> None:
        self._changed: set[Key] = set()
        self._cascaded: set[Key] = set()
        self.watched: list[str] = []

    def __bool__(self) -> bool:
        """Tell whether anything was changed."""
        return bool(self._changed)

    def change(self, table: Table, catalogue: Catalogue, *, removes: bool) -> None:
        """Note that a part writes a table, and what its foreign keys do to others then."""
        self._changed.add((table.schema, table.name))
        waiting = [table] if removes else []
        while waiting:
            parent = waiting.pop()
            for other in catalogue.tables.values():
                key = (other.schema, other.name)
                if key not in self._cascaded and any(
                    (one.referenced_schema, one.referenced_table) == (parent.schema, parent.name)
                    and not {one.on_delete, one.on_update} <= {"no action", "restrict"}
                    for one in other.foreign_keys
                ):
                    self._cascaded.add(key)
                    self._changed.add(key)
                    waiting.append(other)

    def source(self, table: Table) -> str | None:
        """Return the query of a table's rows as they were; None where none has changed."""
        if (table.schema, table.name) not in self._changed:
            return None
        name = self._watch(table)
        columns = tuple((column.name, column.type) for column in table.columns.values())
        listed = ", ".join(quote(column) for column, _ in columns)
        before = spread_query(f"${OLD_ROWS}{name}", columns)
        return (
            f"SELECT {listed} FROM main.{quote(engine_name(table.schema, table.name))}"
            f" WHERE {self._untouched(table, name)} UNION ALL {before}"
        )

    def untouched(self, table: Table, alias: str) -> str | None:
        """Return the test that tells the rows which an update or a delete still finds as they were."""
        key = (table.schema, table.name)
        if key in self._cascaded:
            raise DatabaseError(
                f'writing "{table.name}" in WITH beside what changes it by a foreign key is not supported on SQLite',
                sqlstate="0A000",
                hint="Write in statements of their own, within one transaction.",
            )
        if key not in self._changed:
            return None
        return self._untouched(table, self._watch(table), f"{quote(alias)}.")

    def _untouched(self, table: Table, name: str, qualifier: str = "") -> str:
        return f"{qualifier}{rowid_of(table.columns)} NOT IN (SELECT value FROM json_each(${NEW_ROWS}{name}))"

    def _watch(self, table: Table) -> str:
        name = engine_name(table.schema, table.name)
        if name not in self.watched:
            self.watched.append(name)
        return name.encode().hex()

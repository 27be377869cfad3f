"""Rights for compilers: the statement is theirs, what row security demands of it is written here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.rights import Rights, Use
from plugins.database.sqlite.names import engine_name
from plugins.database.sqlite.rights.role import UNRESTRICTED, RoleRights
from plugins.database.sqlite.translate.queries.writing.guards import GuardedWriting, Writing
from plugins.database.sqlite.translate.scope import file_name


def rights_for(catalogue: Catalogue, role: str | None, table: Table, use: Use) -> Rights:
    """Return a role's rights for one use of a table.

    Raises `DatabaseError` 42501 where a grant is missing, 22023 where the role is.
    """
    name = engine_name(table.schema, table.name)
    if role is None or role == UNRESTRICTED:
        return TableRights(file_name(table), Writing(table, name, catalogue), None)
    rights = RoleRights(catalogue, role)
    rights.enter(table.schema)
    access = rights.access(table, use.command)
    if use.command != "select":
        access.use(use.command, *use.writes)
    if use.reads:
        access.use("select", *use.reads)
    if use.merges:
        access.use("update", *use.merges)
    source = rights.source(table) if use.command == "select" else file_name(table)
    rights.check()
    return TableRights(source, GuardedWriting(table, name, rights, access, use.command), rights)


class TableRights:
    """The `Rights` contract by what the translator writes into its own statements."""

    def __init__(self, source: str, writing: Writing, rights: RoleRights | None) -> None:
        self.source = source
        self._writing = writing
        self._rights = rights

    @property
    def target(self) -> str:
        """What a write names."""
        return file_name(self._writing.table)

    def where(self, test: str | None) -> str:
        """Return the WHERE of an update or a delete."""
        return self._writing.where(test)

    def rows(self, columns: Sequence[str], source: str) -> tuple[Sequence[str], str]:
        """Return columns and source of an insert."""
        rows = self._writing.rows(list(columns), source)
        if self._rights is not None:
            self._rights.check()  # again: rows that number themselves need a right for it
        return rows

    def changed(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the new values of an update."""
        return self._writing.changed(values)

    def merged(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the new values of an upsert."""
        return self._writing.merged(values)

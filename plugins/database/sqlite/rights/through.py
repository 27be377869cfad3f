"""What compilers write through views: the table below, the views' conditions and check options, a role's rights."""

from __future__ import annotations

from collections.abc import Mapping

from kernel.contracts.catalogue import Catalogue, Column, Table, Write
from kernel.contracts.rights import Rights, Use
from plugins.database.sqlite.catalogue.definitions import defined
from plugins.database.sqlite.names import engine_name
from plugins.database.sqlite.rights.compiled import TableRights
from plugins.database.sqlite.rights.role import UNRESTRICTED, RoleRights
from plugins.database.sqlite.translate.queries.writing.guards import Writing, writing
from plugins.database.sqlite.translate.queries.writing.targets import Target
from plugins.database.sqlite.translate.scope import Scope, file_name


class ViewThrough:
    """The `Through` contract: one statement that writes to `view` for a role."""

    def __init__(self, catalogue: Catalogue, role: str | None, view: Table, command: Write) -> None:
        """Raise `DatabaseError` 55000 for a view that cannot be written through, 42501 or 22023 as rights do."""
        self._role = None if role is None or role == UNRESTRICTED else RoleRights(catalogue, role)
        if self._role is not None:
            self._role.enter(view.schema)
        self._scope = Scope(catalogue, (), rights=self._role)
        self._command = command
        # RETURNING knows a table by its own name only.
        below = _below(catalogue, view)
        alias = {"aliasname": engine_name(below.schema, below.name)}
        relation = {"schemaname": view.schema, "relname": view.name, "alias": alias}
        self._target = Target(relation, self._scope, command)
        self.name = file_name(self._target.table)
        self.table = self._target.table
        self.columns: Mapping[str, str] = self._target.item().computed or {}

    def below(self, column: str) -> Column:
        """Return the table's column that one of the view's is."""
        return self._target.column(column)

    def rights(self, use: Use) -> Rights:
        """Return what the role may do."""
        if use.command != "delete":
            self._target.uses(use.command, use.writes)
        if use.reads:
            self._target.uses("select", use.reads)
        if use.merges:
            self._target.uses("update", use.merges)
        if self._role is not None:
            self._role.check()
        return _ThroughRights(self._target, writing(self._target, self._scope, self._command), self._role)


class _ThroughRights(TableRights):
    """The same as on a table, among the rows that the views show."""

    def __init__(self, target: Target, writing_: Writing, role: RoleRights | None) -> None:
        super().__init__(file_name(target.table), writing_, role)
        self._through = target

    def where(self, test: str | None) -> str:
        """Return the WHERE of an update or a delete."""
        return super().where(self._through.where(test))


def _below(catalogue: Catalogue, view: Table) -> Table:
    """Return what is below a view, and all views below it, as far as they can be written through."""
    found = view
    while found.kind == "view" and (simple := defined(found).simple) is not None:
        found = catalogue.tables[simple.schema, simple.name]
    return found

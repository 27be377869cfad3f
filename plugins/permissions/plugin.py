"""The plugin's face: it provides `Policies` on whatever `Database` there is, and ``kernel policies``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from kernel.contracts.catalogue import Table
from kernel.contracts.database import Database
from kernel.contracts.policies import Policies
from kernel.contracts.schema import SchemaWork
from kernel.plugin import Plugin, hookimpl

if TYPE_CHECKING:
    import click


class PermissionsPlugin(Plugin):
    """What callers may do, and why."""

    name = "permissions"
    provides = (Policies,)
    requires = (Database, SchemaWork)

    @hookimpl
    def kernel_services(self) -> Mapping[type, Any]:
        """Provide `Policies`."""
        from plugins.permissions.decisions import TablePolicies

        database, work = self.kernel.services[Database], self.kernel.services[SchemaWork]

        def value_of(condition: str, table: Table) -> bool | None:
            return work.expression(condition, table, database.catalogue).value

        return {Policies: TablePolicies(database, value_of)}

    @hookimpl
    def kernel_commands(self) -> Iterable[click.Command]:
        """Offer ``kernel policies``."""
        from plugins.permissions.commands import policies_group

        yield policies_group(self)

"""The plugin's face: it provides `Records` on whatever `Database` there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from kernel.contracts.database import Database
from kernel.contracts.records import Records
from kernel.plugin import Plugin, hookimpl
from plugins.records.hookspecs import RecordsHooks

if TYPE_CHECKING:
    from plugins.records.procedures import Procedures


class RecordsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of the records plugin."""

    plan_cache: Annotated[
        int, msgspec.Meta(ge=1, description="How many compiled query shapes each process keeps.")
    ] = 1000


class RecordsPlugin(Plugin):
    """Rows of tables by a typed query tree."""

    name = "records"
    provides = (Records,)
    requires = (Database,)
    Settings = RecordsSettings
    hookspecs = (RecordsHooks,)

    procedures: Procedures

    @hookimpl
    def kernel_services(self) -> Mapping[type, Any]:
        """Provide `Records`."""
        from plugins.records.hooks import WriteHooks
        from plugins.records.plans import Plans
        from plugins.records.procedures import Procedures
        from plugins.records.service import TableRecords

        self.procedures = Procedures()
        database, hooks = self.kernel.services[Database], WriteHooks(self.kernel.hooks)
        return {Records: TableRecords(database, Plans(self.settings.plan_cache), hooks, self.procedures)}

    @hookimpl
    def kernel_ready(self) -> None:
        """Learn what functions there are in Python."""
        for implementation in reversed(self.kernel.hooks.records_procedures.get_hookimpls()):
            for procedure in implementation.function():
                self.procedures.add(implementation.plugin_name, procedure)

"""The plugin's face: it provides `Records` on whatever `Database` there is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from kernel.contracts.database import Database
from kernel.contracts.records import Records
from kernel.plugin import Plugin, hookimpl
from plugins.records.hookspecs import RecordsHooks


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

    @hookimpl
    def kernel_services(self) -> Mapping[type, Any]:
        """Provide `Records`."""
        from plugins.records.hooks import WriteHooks
        from plugins.records.service import TableRecords

        hooks = WriteHooks(self.kernel.hooks)
        return {Records: TableRecords(self.kernel.services[Database], self.settings.plan_cache, hooks)}

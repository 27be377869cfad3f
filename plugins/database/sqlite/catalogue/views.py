"""What follows for views from what they read, as that is now."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kernel.contracts.catalogue import Table, Write
from plugins.database.sqlite.catalogue.definitions import defined
from plugins.database.views import Name, with_origins


def with_views(tables: Mapping[Name, Table]) -> dict[Name, Table]:
    """Return the tables, and the views with their `origins`, their `primary_key` and what is `writable` of them."""
    shown = {name: defined(table).shows for name, table in tables.items() if table.kind == "view"}
    found = with_origins(tables, shown)
    for name in shown:
        view, writable = found[name], _writable(tables[name], tables)
        if view.writable != writable:
            found[name] = msgspec.structs.replace(view, writable=writable)
    return found


def _writable(table: Table, tables: Mapping[Name, Table]) -> frozenset[Write]:
    updatable, passed = True, set[Name]()
    while table.kind == "view":
        simple = defined(table).simple
        if simple is None or (table.schema, table.name) in passed:  # views may read one another in a circle
            return frozenset()
        passed.add((table.schema, table.name))
        updatable = updatable and simple.is_updatable
        table = tables[simple.schema, simple.name]
    return table.writable if updatable else table.writable & {"delete"}

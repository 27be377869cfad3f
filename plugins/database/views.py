"""What follows from the columns that views show: the tables that these come from, and what tells their rows apart."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kernel.contracts.catalogue import Origin, Table

Name = tuple[str, str]
"""The schema and the name of a table or view."""


def with_origins(
    tables: Mapping[Name, Table], shown: Mapping[Name, Mapping[str, Origin]]
) -> dict[Name, Table]:
    """Return the tables, and the views with their `origins` and `primary_key`.

    `shown` says of each view which of its columns are columns of tables or of other views.
    """
    found: dict[Name, dict[str, Origin]] = {}

    def origins(name: Name) -> dict[str, Origin]:
        if name not in found:
            result = found[name] = {}  # views may read one another in a circle, which nobody can then read
            for column in tables[name].columns:
                origin = shown[name].get(column)
                base = None if origin is None else (origin.schema, origin.table)
                if origin is not None and base in shown:
                    origin = origins((origin.schema, origin.table)).get(origin.column)
                if origin is not None and (origin.schema, origin.table) in tables:
                    result[column] = origin
        return found[name]

    return {
        name: _view(table, origins(name), tables) if name in shown else table
        for name, table in tables.items()
    }


def _view(view: Table, origins: dict[str, Origin], tables: Mapping[Name, Table]) -> Table:
    key = _key(origins, tables)
    if (view.origins, view.primary_key) == (origins, key):
        return view
    return msgspec.structs.replace(view, origins=origins, primary_key=key)


def _key(origins: dict[str, Origin], tables: Mapping[Name, Table]) -> tuple[str, ...]:
    """Return the columns that show the primary keys of tables; one shown twice counts once."""
    bases: dict[Name, dict[str, str]] = {}
    for column, origin in origins.items():
        bases.setdefault((origin.schema, origin.table), {}).setdefault(origin.column, column)
    return tuple(
        shown[column]
        for base, shown in bases.items()
        if shown.keys() >= set(tables[base].primary_key)
        for column in tables[base].primary_key
    )

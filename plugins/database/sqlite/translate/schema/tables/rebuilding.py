"""Writing a table anew: what SQLite cannot change in place becomes a new table with the old one's rows."""

from __future__ import annotations

from collections.abc import Mapping

from kernel.contracts.catalogue import Catalogue
from plugins.database.sqlite.catalogue.definitions import Definition
from plugins.database.sqlite.names import engine_name, quote, rowid_of
from plugins.database.sqlite.statements import REBUILT, Rebuild
from plugins.database.sqlite.translate.schema.tables.defaults import makes_own_value
from plugins.database.sqlite.translate.schema.tables.emission import indexes_sql, table_sql


def rebuild(
    before: Definition, after: Definition, catalogue: Catalogue, values: Mapping[str, str] | None = None
) -> Rebuild:
    """Return what turns the table `before` into `after`, which has the same name.

    `values` gives the SQL of columns that do not just keep what they held.
    """
    given = values or {}
    copied: dict[str, str] = {}
    for name in after.columns:
        if name in after.generated:
            continue
        if name in given:
            copied[name] = given[name]
        elif name in before.columns:
            copied[name] = quote(name)
    return Rebuild(
        table=engine_name(before.schema, before.name),
        create=table_sql(after, catalogue, quote(REBUILT)),
        columns=tuple(map(quote, copied)),
        values=tuple(copied.values()),
        rowid=rowid_of(before.columns),
        indexes=tuple(indexes_sql(after, catalogue)),
        numbered=any(map(makes_own_value, after.columns.values())),
    )

"""Publications: there is one, which says whose changes are kept in the change log."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kernel.contracts.catalogue import Catalogue, Table
from kernel.contracts.database import DatabaseError
from plugins.database.changes.following import PUBLICATION
from plugins.database.parser import Parsed
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.scope import Scope


def create_publication(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE PUBLICATION, which is there anyway."""
    _check_name(fields["pubname"])
    only(fields, "CREATE PUBLICATION", "pubname", "pubobjects")
    listed = _tables(fields, "CREATE PUBLICATION", catalogue)
    return _plan("CREATE PUBLICATION", _published(catalogue), listed)


def alter_publication(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER PUBLICATION ... ADD, DROP or SET TABLE."""
    _check_name(fields["pubname"])
    only(fields, "ALTER PUBLICATION", "pubname", "pubobjects", "action")
    listed, before = _tables(fields, "ALTER PUBLICATION", catalogue), _published(catalogue)
    for table in listed:
        if fields["action"] == "AP_AddObjects" and table.published:
            raise DatabaseError(
                f'relation "{table.name}" is already member of publication "{PUBLICATION}"', sqlstate="42710"
            )
        if fields["action"] == "AP_DropObjects" and not table.published:
            raise DatabaseError(f'relation "{table.name}" is not part of the publication', sqlstate="42704")
    if fields["action"] == "AP_AddObjects":
        after = [*before, *listed]
    elif fields["action"] == "AP_DropObjects":
        after = [table for table in before if table not in listed]
    else:
        after = listed
    return _plan("ALTER PUBLICATION", before, after)


def drop_publication(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a DROP PUBLICATION: nothing is published after it."""
    for name in strings(fields["objects"]):
        _check_name(name)
    return _plan("DROP PUBLICATION", _published(catalogue), [])


def _plan(tag: str, before: Iterable[Table], after: Iterable[Table]) -> Plan:
    names = {(table.schema, table.name) for table in after}
    changes = [
        Change(table.schema, table.name, msgspec.structs.replace(table, published=published))
        for tables, published in ((before, False), (after, True))
        for table in tables
        if published or (table.schema, table.name) not in names
    ]
    return Plan("schema", "", tag, tuple(changes))


def _published(catalogue: Catalogue) -> list[Table]:
    return [table for table in catalogue.tables.values() if table.published]


def _tables(fields: Node, feature: str, catalogue: Catalogue) -> list[Table]:
    tables = []
    for item in fields.get("pubobjects", ()):
        fields = kind_of(item)[1]
        if fields["pubobjtype"] != "PUBLICATIONOBJ_TABLE":
            raise refused(f"{feature} of all tables in a schema", hint="Name the tables.")
        only(fields["pubtable"], feature, "relation")
        table = Scope(catalogue, ()).table(fields["pubtable"]["relation"])
        if table.kind != "table":
            raise DatabaseError(
                f'cannot add relation "{table.name}" to publication',
                sqlstate="22023",
                detail="This operation is not supported for views.",
            )
        tables.append(table)
    return tables


def _check_name(name: str) -> None:
    if name != PUBLICATION:
        raise refused(f'another publication than "{PUBLICATION}"')

"""CREATE INDEX."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Index
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.definitions import IndexSource
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, only, placeless, refused
from plugins.database.sqlite.translate.schema.constraints import Names
from plugins.database.sqlite.translate.schema.emission import index_key, index_sql, table_scope
from plugins.database.sqlite.translate.schema.relations import existing, index_owner
from plugins.database.sqlite.translate.scope import check_name


def create_index(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE INDEX."""
    only(
        fields, "CREATE INDEX", "idxname", "relation", "accessMethod", "indexParams", "whereClause", "unique",
        "concurrent", "if_not_exists",
    )  # fmt: skip
    if fields["accessMethod"] != "btree":
        raise refused(f"an index of kind {fields['accessMethod']}")
    table = existing(fields["relation"], catalogue)
    if table.kind == "view":
        raise DatabaseError(f'cannot create index on relation "{table.name}"', sqlstate="42809")
    if fields.get("if_not_exists") and index_owner(catalogue, table.schema, fields.get("idxname", "")):
        return Plan("schema", "", "CREATE INDEX")
    keys = [item["IndexElem"] for item in fields["indexParams"]]
    scope = table_scope(table, catalogue)
    labels = [index_key(key, scope).name for key in keys]
    parts = [table.name, *_numbered(["expr" if label == "?column?" else label for label in labels])]
    index = Index(
        name=Names(catalogue, table).new(fields, parts, "idx"),
        columns=tuple(key.get("name") for key in keys),
        unique=bool(fields.get("unique")),
        partial="whereClause" in fields,
    )
    check_name(index.name)
    source = IndexSource(tuple(map(placeless, keys)), placeless(fields.get("whereClause")))
    after = msgspec.structs.replace(
        table, indexes=(*table.indexes, index), indexed={**table.indexed, index.name: source}
    )
    sql = index_sql(index, after, catalogue)
    return Plan("schema", sql, "CREATE INDEX", (Change(table.schema, table.name, after),))


def _numbered(labels: list[str]) -> list[str]:
    """Tell equal parts of an index's name apart, as PostgreSQL does: ``expr``, ``expr1``."""
    result: list[str] = []
    for label in labels:
        name, count = label, 0
        while name in result:
            count += 1
            name = f"{label}{count}"
        result.append(name)
    return result

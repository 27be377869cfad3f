"""CREATE INDEX."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Index
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Definition, IndexSource
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, placeless, refused
from plugins.database.sqlite.translate.schema.relations import existing, index_owner
from plugins.database.sqlite.translate.schema.tables.constraints import Names
from plugins.database.sqlite.translate.schema.tables.emission import (
    index_key,
    index_sql,
    stands_beside,
    table_scope,
)

_METHODS = frozenset({"btree", "hash", "gin", "gist", "spgist", "brin"})


def create_index(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE INDEX."""
    only(
        fields, "CREATE INDEX", "idxname", "relation", "accessMethod", "indexParams", "indexIncludingParams",
        "whereClause", "unique", "concurrent", "if_not_exists",
    )  # fmt: skip
    table = existing(fields["relation"], catalogue)
    if table.kind == "view":
        raise DatabaseError(f'cannot create index on relation "{table.name}"', sqlstate="42809")
    if fields.get("if_not_exists") and index_owner(catalogue, table.schema, fields.get("idxname", "")):
        return Plan("schema", "", "CREATE INDEX")
    method, unique = fields["accessMethod"], bool(fields.get("unique"))
    if method not in _METHODS:
        raise refused(f"an index of kind {method}")
    if unique and method != "btree":
        raise DatabaseError(f'access method "{method}" does not support unique indexes', sqlstate="0A000")
    source = IndexSource(
        keys=_keys(fields["indexParams"]),
        where=placeless(fields.get("whereClause")),
        included=_keys(fields.get("indexIncludingParams", [])),
        method=method,
    )
    after, index = add_index(table, source, fields, catalogue, unique=unique)
    sql = index_sql(index, after, catalogue)
    change = Change(table.schema, table.name, after)
    return Plan("schema", sql if stands_beside(index, after) else "", "CREATE INDEX", (change,))


def _keys(nodes: list[Node]) -> tuple[Node, ...]:
    return tuple(placeless(node["IndexElem"]) for node in nodes)


def add_index(
    table: Definition, source: IndexSource, named: Node, catalogue: Catalogue, *, unique: bool
) -> tuple[Definition, Index]:
    """Return a table with one more index, and the index; `named` may hold its name as ``idxname``."""
    scope = table_scope(table, catalogue)
    labels = [index_key(key, scope).name for key in (*source.keys, *source.included)]
    parts = [table.name, *_numbered(["expr" if label == "?column?" else label for label in labels])]
    if source.where is not None:
        expressions.condition(source.where, scope, "WHERE")
    index = Index(
        name=Names(catalogue, table).new(named, parts, "idx"),
        columns=tuple(key.get("name") for key in source.keys),
        unique=unique,
        partial=source.where is not None,
    )
    after = msgspec.structs.replace(
        table, indexes=(*table.indexes, index), indexed={**table.indexed, index.name: source}
    )
    return after, index


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

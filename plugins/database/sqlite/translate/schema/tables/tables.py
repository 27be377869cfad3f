"""CREATE TABLE: STRICT tables whose columns keep PostgreSQL's types in the catalogue."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Definition
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused
from plugins.database.sqlite.translate.schema.relations import is_new
from plugins.database.sqlite.translate.schema.tables.building import TableBuilder
from plugins.database.sqlite.translate.schema.tables.copies import Likeness, new_name
from plugins.database.sqlite.translate.schema.tables.emission import create_sql
from plugins.database.sqlite.translate.schema.tables.partitions import create_partition, partitioned


def create_table(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE TABLE."""
    if "partbound" in fields:
        return create_partition(fields, parsed, catalogue)
    only(fields, "CREATE TABLE", "relation", "tableElts", "oncommit", "if_not_exists", "partspec")
    schema, name = new_name(fields["relation"])
    if not is_new(catalogue, schema, name, missing_ok=bool(fields.get("if_not_exists"))):
        return Plan("schema", "", "CREATE TABLE")
    builder = TableBuilder(Definition(schema, name, "table", {}), parsed, catalogue)
    likenesses: list[Likeness] = []
    for kind, element in map(kind_of, fields.get("tableElts", ())):
        if kind == "ColumnDef":
            builder.add_column(element)
        elif kind == "Constraint":
            builder.add_constraint(element)
        elif kind == "TableLikeClause":
            likenesses.append(Likeness(element, catalogue))
            likenesses[-1].add_columns(builder)
        else:
            raise refused(f"CREATE TABLE with {kind}")
    for likeness in likenesses:
        likeness.add_constraints(builder)
    table = builder.finish()
    for likeness in likenesses:
        table = likeness.with_indexes(table, catalogue)
    if "partspec" in fields:
        table = msgspec.structs.replace(table, partitioned=partitioned(fields["partspec"], table))
    sql = "; ".join(create_sql(table, catalogue))
    return Plan("schema", sql, "CREATE TABLE", (Change(schema, name, table),))

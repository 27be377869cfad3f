"""Tables made from something else: CREATE TABLE AS, and LIKE within CREATE TABLE."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Definition
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.queries.select import emit_query
from plugins.database.sqlite.translate.schema.relations import existing, is_new
from plugins.database.sqlite.translate.schema.tables.building import TableBuilder
from plugins.database.sqlite.translate.schema.tables.defaults import makes_own_value
from plugins.database.sqlite.translate.schema.tables.emission import create_sql
from plugins.database.sqlite.translate.schema.tables.indexes import add_index
from plugins.database.sqlite.translate.schema.views.views import named_columns
from plugins.database.sqlite.translate.scope import Scope, file_name, relation_name

# Bits of LIKE's options, from PostgreSQL's parsenodes.h.
_COMMENTS, _CONSTRAINTS, _DEFAULTS, _GENERATED, _IDENTITY, _INDEXES = 1, 4, 8, 16, 32, 64


def create_table_as(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE TABLE ... AS."""
    only(fields, "CREATE TABLE AS", "query", "into", "objtype", "if_not_exists")
    if fields["objtype"] == "OBJECT_MATVIEW":
        raise refused("a materialized view", hint="Use a view, or a table that a job fills.")
    into = fields["into"]
    only(into, "CREATE TABLE AS", "rel", "colNames", "onCommit", "skipData")
    schema, name = new_name(into["rel"])
    if not is_new(catalogue, schema, name, missing_ok=bool(fields.get("if_not_exists"))):
        return Plan("schema", "", "CREATE TABLE AS")
    kind, query_fields = kind_of(fields["query"])
    if kind != "SelectStmt":
        raise refused(f"CREATE TABLE AS {kind.removesuffix('Stmt').upper()}")
    query = emit_query(query_fields, Scope(catalogue, ()))
    columns = named_columns(query, strings(into.get("colNames", [])))
    table = Definition(schema, name, "table", columns)
    pieces = create_sql(table, catalogue)
    if not into.get("skipData"):
        listed = ", ".join(map(quote, columns))
        pieces.append(f"INSERT INTO {file_name(table)} ({listed}) {query.sql}")
    return Plan("schema", "; ".join(pieces), "CREATE TABLE AS", (Change(schema, name, table),))


def new_name(relation: Node) -> tuple[str, str]:
    """Return schema and name of a table to be made."""
    only(relation, "CREATE TABLE", "schemaname", "relname", "inh", "relpersistence")
    if relation["relpersistence"] == "t":
        raise refused("a temporary table", hint="Use a query of WITH, or a table that is emptied.")
    return relation_name(relation)


class Likeness:
    """A LIKE in a CREATE TABLE: columns where it stands, constraints and indexes when the table is there."""

    def __init__(self, fields: Node, catalogue: Catalogue) -> None:
        self._source = existing(fields["relation"], catalogue)
        self._options = fields.get("options", 0)

    def add_columns(self, builder: TableBuilder) -> None:
        """Add the columns."""
        for column in self._source.columns.values():
            builder.check_new_column(column.name)
            expression = self._source.generated.get(column.name)
            if makes_own_value(column) and not column.identity and self._options & _DEFAULTS:
                raise refused("LIKE ... INCLUDING DEFAULTS of a serial column")
            keeps_identity = column.identity and bool(self._options & _IDENTITY)
            keeps_expression = expression is not None and bool(self._options & _GENERATED)
            if keeps_identity:
                builder.check_first_number()
            builder.put(
                msgspec.structs.replace(
                    column,
                    default=column.default if self._options & _DEFAULTS else None,
                    identity=keeps_identity,
                    generated=column.generated and (keeps_identity or keeps_expression),
                    comment=column.comment if self._options & _COMMENTS else None,
                )
            )
            if expression is not None and keeps_expression:
                builder.add(generated={**builder.table.generated, column.name: expression})

    def add_constraints(self, builder: TableBuilder) -> None:
        """Add checks under their names, and keys under names of the new table's."""
        source = self._source
        if self._options & _CONSTRAINTS:
            for check in source.checks:
                builder.add_constraint(
                    {"contype": "CONSTR_CHECK", "conname": check.name, "raw_expr": check.expression}
                )
        if self._options & _INDEXES:
            for index in source.indexes:
                if index.name == source.primary or index.name in source.unique:
                    kind = "CONSTR_PRIMARY" if index.name == source.primary else "CONSTR_UNIQUE"
                    keys = [{"String": {"sval": str(name)}} for name in index.columns]
                    builder.add_constraint({"contype": kind, "keys": keys})

    def with_indexes(self, table: Definition, catalogue: Catalogue) -> Definition:
        """Return the finished table with the indexes that no constraint owns."""
        if self._options & _INDEXES:
            for index in self._source.indexes:
                source = self._source.indexed.get(index.name)
                if source is not None:
                    table, _ = add_index(table, source, {}, catalogue, unique=index.unique)
        return table

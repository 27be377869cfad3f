"""PARTITION BY and PARTITION OF: one table holds all rows, and a partition is a view of those that belong to it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database import parser
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.catalogue import apply
from plugins.database.sqlite.catalogue.definitions import Definition, Partitioned, defined
from plugins.database.sqlite.names import identifier, text_literal
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.schema.dependents import key_of, partitions_of
from plugins.database.sqlite.translate.schema.relations import existing, is_new
from plugins.database.sqlite.translate.schema.views.views import create_view
from plugins.database.sqlite.translate.scope import file_name, relation_name

_NUMBERS = ("ival", "fval")


def partitioned(spec: Node, table: Definition) -> Partitioned:
    """Return what a table's rows are told apart by; raises 42703 for a column that is not there."""
    strategy = spec["strategy"].removeprefix("PARTITION_STRATEGY_").lower()
    columns = []
    for item in spec["partParams"]:
        element = item["PartitionElem"]
        only(element, "PARTITION BY", "name")
        if element["name"] not in table.columns:
            message = f'column "{element["name"]}" named in partition key does not exist'
            raise DatabaseError(message, sqlstate="42703", column=element["name"])
        columns.append(element["name"])
    if strategy == "list" and len(columns) > 1:
        message = 'cannot use "list" partition strategy with more than one column'
        raise DatabaseError(message, sqlstate="42P17")
    return Partitioned(strategy, tuple(columns))


def create_partition(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE TABLE ... PARTITION OF; a default partition there is gets without its rows."""
    only(
        fields, "CREATE TABLE PARTITION OF", "relation", "inhRelations", "partbound", "oncommit",
        "if_not_exists",
    )  # fmt: skip
    schema, name = relation_name(fields["relation"])
    parent = existing(kind_of(fields["inhRelations"][0])[1], catalogue)
    if not is_new(catalogue, schema, name, missing_ok=bool(fields.get("if_not_exists"))):
        return Plan("schema", "", "CREATE TABLE")
    if parent.partitioned is None:
        raise DatabaseError(f'"{parent.name}" is not partitioned', sqlstate="42P17")
    siblings = partitions_of(catalogue, parent)
    condition = _condition(fields["partbound"], parent.partitioned)
    default = next((one for one in siblings if one.partition == ""), None)
    if not condition and default is not None:
        message = f'partition "{name}" conflicts with existing default partition "{default.name}"'
        raise DatabaseError(message, sqlstate="42P17")
    new = Definition(schema, name, "view", {}, partition=condition)
    if default is None:
        return _made([new], parent, [*siblings, new], catalogue)
    plan = _made([new, default], parent, [*siblings, new], catalogue)
    return msgspec.structs.replace(plan, sql=f"{_drop_sql(default)}; {plan.sql}")


def with_partitions(plan: Plan, before: Definition, catalogue: Catalogue) -> Plan:
    """Return the plan of an alteration after which the table's partitions have its columns."""
    after = apply(catalogue, plan.changes)
    parent = defined(after.tables[key_of(before)])
    siblings = partitions_of(catalogue, parent)
    if not siblings or list(parent.columns) == list(before.columns):
        return plan
    made = _made(siblings, parent, siblings, after)
    # SQLite looks at all views when it alters a table.
    pieces = [*map(_drop_sql, siblings), plan.sql, made.sql]
    return msgspec.structs.replace(
        plan, sql="; ".join(filter(None, pieces)), changes=(*plan.changes, *made.changes)
    )


def _drop_sql(view: Definition) -> str:
    return f"DROP VIEW {file_name(view)}"


def _made(
    views: Iterable[Definition], parent: Definition, siblings: list[Definition], catalogue: Catalogue
) -> Plan:
    pieces: list[str] = []
    changes: list[Change] = []
    listed = ", ".join(map(identifier, parent.columns))
    for view in views:
        others = " or ".join(f"({one.partition})" for one in siblings if one.partition)
        condition = view.partition or (f"({others}) is not true" if others else "true")
        query = f"select {listed} from {_name(parent)} where {condition}"
        parsed = parser.parse(f"create view {_name(view)} as {query} with check option")
        tables = {key: table for key, table in catalogue.tables.items() if key != key_of(view)}
        _, fields = kind_of(parsed.statements[0])
        plan = create_view(fields, parsed, msgspec.structs.replace(catalogue, tables=tables))
        pieces.append(plan.sql)
        made = defined(apply(catalogue, plan.changes).tables[key_of(view)])
        # It shows no columns of the table's: relations lead to that alone, as on PostgreSQL.
        made = msgspec.structs.replace(
            made, partition=view.partition, shows={}, grants=view.grants, comment=view.comment
        )
        changes.append(Change(*key_of(view), made))
    return Plan("schema", "; ".join(pieces), "CREATE TABLE", tuple(changes))


def _condition(bound: Node, by: Partitioned) -> str:
    """Return which rows belong to a partition, in PostgreSQL's SQL; nothing for the default one."""
    if len(by.columns) > 1 or by.strategy == "hash":
        kind = "hash" if by.strategy == "hash" else "several columns"
        raise refused(f"a partition by {kind}", hint="Keep the rows in the partitioned table.")
    if bound.get("is_default"):
        return ""
    if bound["strategy"] != by.strategy[0]:
        raise DatabaseError(f"invalid bound specification for a {by.strategy} partition", sqlstate="42P16")
    column = identifier(by.columns[0])
    if by.strategy == "list":
        values = map(_literal, bound["listdatums"])
        tests = [f"{column} is null" if value == "null" else f"{column} = {value}" for value in values]
        return " or ".join(tests)
    tests = [f"{column} is not null"]
    for field, sign, endless in (("lowerdatums", ">=", "minvalue"), ("upperdatums", "<", "maxvalue")):
        if len(bound[field]) != 1:
            raise DatabaseError(
                "FROM must specify exactly one value per partitioning column", sqlstate="42P16"
            )
        kind, node = kind_of(bound[field][0])
        if kind != "ColumnRef" or strings(node["fields"]) != [endless]:
            tests.append(f"{column} {sign} {_literal(bound[field][0])}")
    return " and ".join(tests)


def _literal(node: Node) -> str:
    kind, fields = kind_of(node)
    if kind != "A_Const":
        raise refused("a bound of a partition that is no literal")
    if fields.get("isnull"):
        return "null"
    if "sval" in fields:
        return text_literal(fields["sval"].get("sval", ""))
    if "boolval" in fields:
        return "true" if fields["boolval"].get("boolval") else "false"
    for field in _NUMBERS:
        if field in fields:
            return str(fields[field].get(field, 0))
    raise refused("a bound of a partition that is a bit string")


def _name(table: Definition) -> str:
    return f"{identifier(table.schema)}.{identifier(table.name)}"

"""CREATE VIEW."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Column
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Definition, defined
from plugins.database.sqlite.catalogue.kinds import RowType
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.mentions import Mentions, spread_out
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings, text_of
from plugins.database.sqlite.translate.queries.select import Query, emit_query
from plugins.database.sqlite.translate.schema.relations import is_new
from plugins.database.sqlite.translate.schema.views.simple import simplified
from plugins.database.sqlite.translate.scope import Scope, relation_name

_CHECKS = {"LOCAL_CHECK_OPTION": "local", "CASCADED_CHECK_OPTION": "cascaded"}


def create_view(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE VIEW; its columns' types come from its query."""
    only(fields, "CREATE VIEW", "view", "aliases", "query", "replace", "options", "withCheckOption")
    only(fields["view"], "CREATE VIEW", "schemaname", "relname", "inh", "relpersistence")
    if fields["view"]["relpersistence"] != "p":
        raise refused("a temporary view")
    schema, name = relation_name(fields["view"])
    kind, query_fields = kind_of(fields["query"])
    if kind != "SelectStmt":
        raise refused(f"a view over {kind}")
    scope = Scope(catalogue, ())
    scope.mentions = mentions = Mentions()
    query = emit_query(query_fields, scope)
    replacing = bool(fields.get("replace")) and (schema, name) in catalogue.tables
    if not replacing:
        is_new(catalogue, schema, name, missing_ok=False)
    columns = named_columns(query, strings(fields.get("aliases", [])))
    file = quote(engine_name(schema, name))
    sql = f"CREATE VIEW {file} ({', '.join(map(quote, columns))}) AS {query.sql}"
    if replacing:
        _check_replaceable(defined(catalogue.tables[schema, name]), columns)
        sql = f"DROP VIEW {file}; {sql}"
    view = Definition(schema, name, "view", {})
    if replacing:
        view = defined(catalogue.tables[schema, name])  # with its comment and rights
    invoker, check = _options(fields)
    simple, fixed = simplified(query_fields, columns, scope, check)
    if check is not None and (simple is None or not simple.is_updatable):
        raise DatabaseError(
            "WITH CHECK OPTION is supported only on automatically updatable views",
            sqlstate="0A000",
            hint=fixed,
        )
    view = msgspec.structs.replace(
        view,
        columns=columns,
        security_invoker=invoker,
        definition=spread_out(parsed.source, mentions),
        reads=tuple(sorted(scope.reads)),
        shows={
            name: origin for name, origin in zip(columns, query.origins, strict=False) if origin is not None
        },
        simple=simple,
        fixed=fixed,
    )
    return Plan("schema", sql, "CREATE VIEW", (Change(schema, name, view),))


def _options(fields: Node) -> tuple[bool, str | None]:
    """Tell whether a view is read with its reader's rights, and return its check option."""
    invoker = False
    check = _CHECKS.get(fields.get("withCheckOption", ""))
    for item in fields.get("options", ()):
        option = item["DefElem"]
        value = option.get("arg", {"String": {"sval": "true"}})
        text = str(value.get("String", {}).get("sval", value.get("Boolean", {}).get("boolval", ""))).lower()
        if option["defname"] == "security_invoker":
            invoker = text in ("true", "on", "yes", "1")
        elif option["defname"] == "check_option":
            check = _check_option(option)
        elif option["defname"] != "security_barrier":
            raise refused(f"CREATE VIEW with {option['defname']}")
    return invoker, check


def _check_option(option: Node) -> str:
    value = option.get("arg", {})
    text = strings(value["TypeName"]["names"])[-1] if "TypeName" in value else text_of(value)
    if text not in _CHECKS.values():
        raise DatabaseError(
            'invalid value for enum option "check_option": ' + text,
            sqlstate="22023",
            detail='Valid values are "local" and "cascaded".',
        )
    return text


def named_columns(query: Query, names: list[str]) -> dict[str, Column]:
    """Return a query's columns, the first of them under other names; raises 42701 for one that is there twice."""
    if len(names) > len(query.columns):
        raise DatabaseError("too many column names were specified", sqlstate="42601")
    listed = names + [column for column, _ in query.columns[len(names) :]]
    if len(set(listed)) != len(listed):
        twice = next(column for column in listed if listed.count(column) > 1)
        raise DatabaseError(f'column "{twice}" specified more than once', sqlstate="42701", column=twice)
    for column, (_, declared) in zip(listed, query.columns, strict=False):
        if isinstance(declared, RowType):
            raise refused(f'the whole row "{column}" as a column', hint="Name its fields: (row).field.")
    return {
        column: Column(name=column, type=declared)
        for column, (_, declared) in zip(listed, query.columns, strict=False)
    }


def _check_replaceable(before: Definition, columns: dict[str, Column]) -> None:
    if before.kind != "view":
        raise DatabaseError(f'"{before.name}" is not a view', sqlstate="42809")
    if len(columns) < len(before.columns):
        raise DatabaseError("cannot drop columns from view", sqlstate="42P16")
    for old, new in zip(before.columns.values(), columns.values(), strict=False):
        if old.name != new.name:
            raise DatabaseError(
                f'cannot change name of view column "{old.name}" to "{new.name}"', sqlstate="42P16"
            )
        if old.type != new.type:
            raise DatabaseError(
                f'cannot change data type of view column "{old.name}" from {old.type} to {new.type}',
                sqlstate="42P16",
            )

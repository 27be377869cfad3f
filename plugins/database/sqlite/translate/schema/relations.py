"""Indexes, views, schemas and comments, and dropping them."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue, Column, Index, Table
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate import expressions, types
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.queries.select import emit_query
from plugins.database.sqlite.translate.schema.constraints import Names
from plugins.database.sqlite.translate.schema.tables import dependents, is_new
from plugins.database.sqlite.translate.scope import Item, Scope, check_name, file_name, relation_name

# What these extensions are loaded for (UUIDs) is here without them.
_KNOWN_EXTENSIONS = frozenset({"pgcrypto", "uuid-ossp", "plpgsql"})
_NOTHING = ""


def create_index(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE INDEX."""
    only(
        fields, "CREATE INDEX", "idxname", "relation", "accessMethod", "indexParams", "whereClause", "unique",
        "concurrent", "if_not_exists",
    )  # fmt: skip
    if fields["accessMethod"] != "btree":
        raise refused(f"an index of kind {fields['accessMethod']}")
    scope = Scope(catalogue, ())
    table = scope.table(fields["relation"])
    if table.kind == "view":
        raise DatabaseError(f'cannot create index on relation "{table.name}"', sqlstate="42809")
    if fields.get("if_not_exists") and _index_owner(catalogue, table.schema, fields.get("idxname", "")):
        return Plan("schema", _NOTHING, "CREATE INDEX")
    scope.add(
        Item(table.name, {name: column.type for name, column in table.columns.items()}, qualified=False)
    )
    keys = [_index_key(item["IndexElem"], scope) for item in fields["indexParams"]]
    parts = [table.name, *_numbered([name or label for _, name, label in keys])]
    index = Index(
        name=Names(catalogue, table.schema).new(fields, parts, "idx"),
        columns=tuple(name for _, name, _ in keys),
        unique=bool(fields.get("unique")),
        partial="whereClause" in fields,
    )
    check_name(index.name)
    where = ""
    if index.partial:
        where = f" WHERE {expressions.condition(fields['whereClause'], scope, 'WHERE')}"
    sql = (
        f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {quote(engine_name(table.schema, index.name))} "
        f"ON {file_name(table)} ({', '.join(sql for sql, _, _ in keys)}){where}"
    )
    after = msgspec.structs.replace(table, indexes=(*table.indexes, index))
    return Plan("schema", sql, "CREATE INDEX", (Change(table.schema, table.name, after),))


def _index_key(fields: Node, scope: Scope) -> tuple[str, str | None, str]:
    """Return a key's SQL, the column it is (None for an expression), and its part in the index's name."""
    only(fields, "an index's key", "name", "expr", "ordering", "nulls_ordering")
    if "name" in fields:
        expr = scope.column(fields["name"])
    else:
        expr = expressions.emit(fields["expr"], scope)
    # SQLite has no NULLS clause in an index; which end they are at changes no answer, so it is left out.
    direction = " DESC" if fields["ordering"] == "SORTBY_DESC" else ""
    label = expr.name if expr.name != "?column?" else "expr"
    return types.collated(expr) + direction, fields.get("name"), label


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


def create_view(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE VIEW; its columns' types come from its query."""
    only(fields, "CREATE VIEW", "view", "aliases", "query", "replace", "withCheckOption")
    if fields.get("withCheckOption", "NO_CHECK_OPTION") != "NO_CHECK_OPTION":
        raise refused("CREATE VIEW ... WITH CHECK OPTION")
    schema, name = relation_name(fields["view"])
    replacing = bool(fields.get("replace")) and (schema, name) in catalogue.tables
    if not replacing:
        is_new(catalogue, schema, name, missing_ok=False)
    kind, query_fields = kind_of(fields["query"])
    if kind != "SelectStmt":
        raise refused(f"a view over {kind}")
    query = emit_query(query_fields, Scope(catalogue, ()))
    names = strings(fields.get("aliases", []))
    listed = names + [column for column, _ in query.columns[len(names) :]]
    if len(set(listed)) != len(listed):
        twice = next(column for column in listed if listed.count(column) > 1)
        raise DatabaseError(f'column "{twice}" specified more than once', sqlstate="42701", column=twice)
    columns = {
        column: Column(name=column, type=declared)
        for column, (_, declared) in zip(listed, query.columns, strict=False)
    }
    file = quote(engine_name(schema, name))
    sql = f"CREATE VIEW {file} ({', '.join(map(quote, listed))}) AS {query.sql}"
    if replacing:
        _check_replaceable(catalogue.tables[schema, name], columns)
        sql = f"DROP VIEW {file}; {sql}"
    view = Table(schema=schema, name=name, kind="view", columns=columns)
    return Plan("schema", sql, "CREATE VIEW", (Change(schema, name, view),))


def _check_replaceable(before: Table, columns: dict[str, Column]) -> None:
    if before.kind != "view":
        raise DatabaseError(f'"{before.name}" is not a view', sqlstate="42809")
    if list(columns)[: len(before.columns)] != list(before.columns):
        raise DatabaseError("cannot drop columns from view", sqlstate="42P16")


def drop(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a DROP TABLE, VIEW, INDEX or SCHEMA."""
    only(fields, "DROP", "objects", "removeType", "behavior", "missing_ok", "concurrent")
    kind = fields["removeType"].removeprefix("OBJECT_")
    cascade = fields["behavior"] == "DROP_CASCADE"
    pieces: list[str] = []
    changes: list[Change] = []
    for item in fields["objects"]:
        schema, name = _dropped_name(item)
        if kind in ("TABLE", "VIEW"):
            found = catalogue.table(name, schema)
            made = _drop_relation(found, catalogue, kind.lower(), cascade=cascade) if found else None
        elif kind == "INDEX":
            made = _drop_index(_index_owner(catalogue, schema, name), name)
        else:
            raise refused(f"DROP {kind}")
        if made is None:
            if fields.get("missing_ok"):
                continue
            raise DatabaseError(
                f'{kind.lower()} "{name}" does not exist', sqlstate="42P01" if kind != "INDEX" else "42704"
            )
        pieces.append(made[0])
        changes.append(made[1])
    dropped = "" if kind == "INDEX" else f"{kind.lower()} {', '.join(change.name for change in changes)}"
    return Plan("schema", "; ".join(pieces), f"DROP {kind}", tuple(changes), drops=dropped if changes else "")


def _dropped_name(item: Node) -> tuple[str, str]:
    kind, fields = kind_of(item)
    names = strings(fields["items"]) if kind == "List" else [str(fields.get("sval"))]
    if len(names) > 2:
        raise refused("a name with a database")
    return ("public", names[0]) if len(names) == 1 else (names[0], names[1])


def _drop_relation(table: Table, catalogue: Catalogue, kind: str, *, cascade: bool) -> tuple[str, Change]:
    if table.kind != kind:
        raise DatabaseError(f'"{table.name}" is not a {kind}', sqlstate="42809")
    for other, key in dependents(catalogue, table):
        if cascade:
            raise refused(f'DROP ... CASCADE over the foreign key "{key.name}"')
        raise DatabaseError(
            f"cannot drop table {table.name} because other objects depend on it",
            sqlstate="2BP01",
            detail=f"constraint {key.name} on table {other.name} depends on table {table.name}",
            hint="Drop the dependent objects first.",
        )
    return f"DROP {kind.upper()} {file_name(table)}", Change(table.schema, table.name)


def _index_owner(catalogue: Catalogue, schema: str, name: str) -> Table | None:
    for (owner_schema, _), table in catalogue.tables.items():
        if owner_schema == schema and any(index.name == name for index in table.indexes):
            return table
    return None


def _drop_index(table: Table | None, name: str) -> tuple[str, Change] | None:
    if table is None:
        return None
    index = next(index for index in table.indexes if index.name == name)
    if index.columns == table.primary_key and name.endswith("_pkey"):
        raise DatabaseError(
            f"cannot drop index {name} because constraint {name} on table {table.name} requires it",
            sqlstate="2BP01",
        )
    after = msgspec.structs.replace(
        table, indexes=tuple(other for other in table.indexes if other is not index)
    )
    sql = f"DROP INDEX {quote(engine_name(table.schema, name))}"
    return sql, Change(table.schema, table.name, after)


def create_schema(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE SCHEMA: a name in the catalogue, and a prefix of its tables' names."""
    only(fields, "CREATE SCHEMA", "schemaname", "if_not_exists")
    name = fields["schemaname"]
    check_name(name)
    if name in catalogue.schemas:
        if not fields.get("if_not_exists"):
            raise DatabaseError(f'schema "{name}" already exists', sqlstate="42P06", schema=name)
        return Plan("schema", _NOTHING, "CREATE SCHEMA")
    return Plan("schema", _NOTHING, "CREATE SCHEMA", (Change(name, "", is_schema=True),))


def create_extension(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Accept the extensions whose functions are there anyway; refuse all others."""
    if fields["extname"] not in _KNOWN_EXTENSIONS:
        raise refused(f'the extension "{fields["extname"]}"')
    return Plan("schema", _NOTHING, "CREATE EXTENSION")


def comment(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a COMMENT ON a table, a view or a column."""
    only(fields, "COMMENT", "objtype", "object", "comment")
    kind = fields["objtype"].removeprefix("OBJECT_")
    if kind not in ("TABLE", "VIEW", "COLUMN"):
        raise refused(f"COMMENT ON {kind}")
    names = strings(kind_of(fields["object"])[1]["items"])
    column = names.pop() if kind == "COLUMN" else None
    relation = {"relname": names[-1], **({"schemaname": names[-2]} if len(names) > 1 else {})}
    table = Scope(catalogue, ()).table(relation)
    text = fields.get("comment")
    if column is None:
        after = msgspec.structs.replace(table, comment=text)
    else:
        if column not in table.columns:
            raise DatabaseError(
                f'column "{column}" of relation "{table.name}" does not exist',
                sqlstate="42703",
                column=column,
            )
        changed = msgspec.structs.replace(table.columns[column], comment=text)
        after = msgspec.structs.replace(table, columns={**table.columns, column: changed})
    return Plan("schema", _NOTHING, "COMMENT", (Change(table.schema, table.name, after),))

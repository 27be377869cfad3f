"""What tables, views and indexes have in common: their names, comments, and the schemas that hold them."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Definition, defined, definitions
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.scope import Scope, check_name, missing_relation, relation_name

# What these extensions are loaded for (UUIDs) is here without them.
_WITHOUT_COMMENT = frozenset({
    "DOMCONSTRAINT", "EXTENSION", "INDEX", "POLICY", "PUBLICATION", "ROLE", "SCHEMA", "TABCONSTRAINT", "TYPE",
})  # fmt: skip
_INSTEAD = {"citext": "Keep text, with a unique index on lower(column), and compare with lower()."}
_KNOWN_EXTENSIONS = frozenset({"pgcrypto", "uuid-ossp", "plpgsql"})


def is_missing(fields: Node, catalogue: Catalogue) -> bool:
    """Tell whether a statement that says IF EXISTS has nothing to do."""
    return bool(fields.get("missing_ok")) and Scope(catalogue, ()).find_table(fields["relation"]) is None


def existing(relation: Node, catalogue: Catalogue) -> Definition:
    """Return the table or view that a schema statement names; raises 3F000 or 42P01."""
    table = Scope(catalogue, ()).find_table(relation)
    if table is not None:
        return defined(table)
    schema = relation_name(relation)[0]
    if schema not in catalogue.schemas:
        raise DatabaseError(f'schema "{schema}" does not exist', sqlstate="3F000", schema=schema)
    raise missing_relation(relation)


def is_new(catalogue: Catalogue, schema: str, name: str, *, missing_ok: bool) -> bool:
    """Tell whether a relation is still to be made; raises 42P07 where it is there and should not be."""
    if schema not in catalogue.schemas:
        raise DatabaseError(f'schema "{schema}" does not exist', sqlstate="3F000", schema=schema)
    if (schema, name) in catalogue.tables or index_owner(catalogue, schema, name) is not None:
        if missing_ok:
            return False
        raise DatabaseError(f'relation "{name}" already exists', sqlstate="42P07", table=name)
    for other_schema, other in catalogue.tables:
        if (other_schema.lower(), other.lower()) == (schema.lower(), name.lower()):
            raise refused(f'a table "{name}" beside "{other}", whose names differ in case only,')
    return True


def index_owner(catalogue: Catalogue, schema: str, name: str) -> Definition | None:
    """Return the table that has an index of that name."""
    for table in definitions(catalogue):
        if table.schema == schema and any(index.name == name for index in table.indexes):
            return table
    return None


def create_schema(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a CREATE SCHEMA: a name in the catalogue, and a prefix of its tables' names."""
    only(fields, "CREATE SCHEMA", "schemaname", "if_not_exists")
    name = fields["schemaname"]
    check_name(name)
    if name in catalogue.schemas:
        if not fields.get("if_not_exists"):
            raise DatabaseError(f'schema "{name}" already exists', sqlstate="42P06", schema=name)
        return Plan("schema", "", "CREATE SCHEMA")
    return Plan("schema", "", "CREATE SCHEMA", (Change(name, "", is_schema=True),))


def create_extension(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Accept the extensions whose functions are there anyway; refuse all others."""
    if fields["extname"] not in _KNOWN_EXTENSIONS:
        raise refused(f'the extension "{fields["extname"]}"', hint=_INSTEAD.get(fields["extname"]))
    return Plan("schema", "", "CREATE EXTENSION")


def comment(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a COMMENT ON a table, a view or a column; those on what has no place for one are not kept."""
    only(fields, "COMMENT", "objtype", "object", "comment")
    kind = fields["objtype"].removeprefix("OBJECT_")
    if kind in _WITHOUT_COMMENT:
        return Plan("schema", "", "COMMENT")
    if kind not in ("TABLE", "VIEW", "COLUMN"):
        raise refused(f"COMMENT ON {kind}")
    names = strings(kind_of(fields["object"])[1]["items"])
    column = names.pop() if kind == "COLUMN" else None
    relation = {"relname": names[-1], **({"schemaname": names[-2]} if len(names) > 1 else {})}
    table = existing(relation, catalogue)
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
    return Plan("schema", "", "COMMENT", (Change(table.schema, table.name, after),))

"""DROP, with or without what depends on what is dropped."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Definition, defined, definitions
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.schema.dependents import Dropped, Reason, functions, key_of
from plugins.database.sqlite.translate.schema.relations import index_owner
from plugins.database.sqlite.translate.schema.tables.emission import index_name
from plugins.database.sqlite.translate.scope import file_name

_BUILT_IN = frozenset({"public", "kernel"})


def drop(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a DROP TABLE, VIEW, INDEX or SCHEMA."""
    only(fields, "DROP", "objects", "removeType", "behavior", "missing_ok", "concurrent")
    kind = fields["removeType"].removeprefix("OBJECT_")
    names = [_dropped_name(item) for item in fields["objects"]]
    cascade, missing_ok = fields["behavior"] == "DROP_CASCADE", bool(fields.get("missing_ok"))
    if kind in ("TABLE", "VIEW"):
        found = _relations(kind.lower(), names, catalogue, missing_ok=missing_ok)
        return _drop_relations(found, catalogue, kind, cascade=cascade)
    if kind == "INDEX":
        return _drop_indexes(names, catalogue, missing_ok=missing_ok)
    if kind == "SCHEMA":
        return _drop_schemas([name for _, name in names], catalogue, cascade=cascade, missing_ok=missing_ok)
    raise refused(f"DROP {kind}")


def _dropped_name(item: Node) -> tuple[str, str]:
    kind, fields = kind_of(item)
    names = strings(fields["items"]) if kind == "List" else [str(fields.get("sval"))]
    if len(names) > 2:
        raise refused("a name with a database")
    return ("public", names[0]) if len(names) == 1 else (names[0], names[1])


def _relations(
    kind: str, names: list[tuple[str, str]], catalogue: Catalogue, *, missing_ok: bool
) -> list[Definition]:
    found = []
    for schema, name in names:
        table = catalogue.table(name, schema)
        if table is None:
            if missing_ok:
                continue
            if schema not in catalogue.schemas:
                raise DatabaseError(f'schema "{schema}" does not exist', sqlstate="3F000", schema=schema)
            raise DatabaseError(f'{kind} "{name}" does not exist', sqlstate="42P01")
        if defined(table).partition is not None:
            simple = defined(table).simple
            if kind == "view" or simple is None or (simple.schema, simple.name) not in names:
                raise refused(
                    f"DROP {kind.upper()} of a partition", hint="Delete its rows, or drop its table, too."
                )
        elif table.kind != kind:
            raise DatabaseError(f'"{table.name}" is not a {kind}', sqlstate="42809")
        found.append(defined(table))
    return found


def _drop_relations(tables: list[Definition], catalogue: Catalogue, kind: str, *, cascade: bool) -> Plan:
    dropped = Dropped(catalogue, map(key_of, tables))
    for table in tables:
        what = f"{table.kind} {table.name}"
        dropped.relation(table, Reason(what, cascade, several=len(tables) > 1))
    pieces = [*dropped.sql, *(f"DROP {table.kind.upper()} {file_name(table)}" for table in tables)]
    changes = (*dropped.changes, *(Change(*key_of(table)) for table in tables))
    return Plan("schema", "; ".join(pieces), f"DROP {kind}", changes, rebuilds=tuple(dropped.rebuilds))


def _drop_schemas(names: list[str], catalogue: Catalogue, *, cascade: bool, missing_ok: bool) -> Plan:
    found = []
    for name in names:
        if name in catalogue.schemas:
            found.append(name)
        elif not missing_ok:
            raise DatabaseError(f'schema "{name}" does not exist', sqlstate="3F000", schema=name)
    if _BUILT_IN & set(found):
        raise refused(f"DROP SCHEMA {min(_BUILT_IN & set(found))}")
    tables = [table for table in definitions(catalogue) if table.schema in found]
    for table in tables:
        Reason(f"schema {table.schema}", cascade).check(f"{table.kind} {table.schema}.{table.name}")
    owned = [function for function in functions(catalogue) if function.schema in found]
    for function in owned:
        Reason(f"schema {function.schema}", cascade).check(f"function {function.signature}")
    plan = _drop_relations(tables, catalogue, "SCHEMA", cascade=True)
    gone = (Change(one.schema, one.signature, function=one, is_gone=True) for one in owned)
    schemas = (Change(name, "", is_schema=True, is_gone=True) for name in found)
    return msgspec.structs.replace(plan, changes=(*plan.changes, *gone, *schemas))


def _drop_indexes(names: list[tuple[str, str]], catalogue: Catalogue, *, missing_ok: bool) -> Plan:
    pieces: list[str] = []
    tables: dict[tuple[str, str], Definition] = {}
    for schema, name in names:
        owner = index_owner(catalogue, schema, name)
        if owner is None:
            if missing_ok:
                continue
            raise DatabaseError(f'index "{name}" does not exist', sqlstate="42704")
        owner = tables.get(key_of(owner), owner)
        if name == owner.primary or name in owner.unique:
            raise DatabaseError(
                f"cannot drop index {name} because constraint {name} on table {owner.name} requires it",
                sqlstate="2BP01",
                hint=f"You can drop constraint {name} on table {owner.name} instead.",
            )
        pieces.append(f"DROP INDEX {index_name(owner, name)}")
        tables[key_of(owner)] = msgspec.structs.replace(
            owner,
            indexes=tuple(index for index in owner.indexes if index.name != name),
            indexed={other: source for other, source in owner.indexed.items() if other != name},
        )
    changes = tuple(Change(*key, table) for key, table in tables.items())
    return Plan("schema", "; ".join(pieces), "DROP INDEX", changes)

"""RENAME and SET SCHEMA: SQLite follows names through its own texts, and the definitions are followed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, ForeignKey, Index, Origin
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.catalogue.definitions import Check, Definition, definitions
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, only, refused, strings
from plugins.database.sqlite.translate.schema.dependents import functions, key_of, pointing_at
from plugins.database.sqlite.translate.schema.relations import existing, index_owner, is_missing, is_new
from plugins.database.sqlite.translate.schema.tables.building import check_case
from plugins.database.sqlite.translate.schema.tables.constraints import check_new_name, constraint_names
from plugins.database.sqlite.translate.schema.tables.emission import (
    check_label,
    check_sql,
    index_name,
    index_sql,
    stands_beside,
)
from plugins.database.sqlite.translate.scope import check_name, file_name


def rename(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a RENAME of a table, a column, a constraint or an index."""
    only(
        fields, "RENAME", "renameType", "relationType", "relation", "subname", "newname", "behavior", "missing_ok"
    )  # fmt: skip
    kind = fields["renameType"].removeprefix("OBJECT_")
    new = fields["newname"]
    check_name(new)
    if kind == "INDEX":
        return _rename_index(fields, new, catalogue)
    if kind not in ("TABLE", "COLUMN", "TABCONSTRAINT"):
        raise refused(f"RENAME of a {kind.lower()}")
    if is_missing(fields, catalogue):
        return Plan("schema", "", "ALTER TABLE")
    table = existing(fields["relation"], catalogue)
    if table.kind != "table":
        raise refused(f"RENAME of a view's {kind.lower()}" if kind != "TABLE" else "RENAME of a view")
    if kind == "COLUMN":
        return _rename_column(table, fields["subname"], new, catalogue)
    if kind == "TABCONSTRAINT":
        return _rename_constraint(table, fields["subname"], new, catalogue)
    is_new(catalogue, table.schema, new, missing_ok=False)
    return move(table, table.schema, new, catalogue)


def set_schema(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER TABLE ... SET SCHEMA."""
    only(fields, "SET SCHEMA", "objectType", "relation", "newschema", "missing_ok")
    if fields["objectType"] != "OBJECT_TABLE":
        raise refused(f"SET SCHEMA of a {fields['objectType'].removeprefix('OBJECT_').lower()}")
    if is_missing(fields, catalogue):
        return Plan("schema", "", "ALTER TABLE")
    table = existing(fields["relation"], catalogue)
    if table.kind != "table":
        raise refused("SET SCHEMA of a view")
    schema = fields["newschema"]
    if schema == table.schema:
        return Plan("schema", "", "ALTER TABLE")
    is_new(catalogue, schema, table.name, missing_ok=False)
    return move(table, schema, table.name, catalogue)


def move(table: Definition, schema: str, name: str, catalogue: Catalogue) -> Plan:
    """Return the plan that gives a table another name or another schema."""

    def follow(key: ForeignKey) -> ForeignKey:
        return msgspec.structs.replace(key, referenced_schema=schema, referenced_table=name)

    after = _with_trees(table, lambda tree: _qualified_anew(tree, table.name, name))
    after = msgspec.structs.replace(after, schema=schema, name=name)
    pieces = [f"ALTER TABLE {file_name(table)} RENAME TO {quote(engine_name(schema, name))}"]
    for check in after.checks:  # the name in the file holds the table's
        pieces.append(f"ALTER TABLE {file_name(after)} DROP CONSTRAINT {check_label(check.name, table)}")
        pieces.append(f"ALTER TABLE {file_name(after)} ADD {check_sql(check, after, catalogue)}")
    if schema != table.schema:
        for index in filter(lambda index: stands_beside(index, after), after.indexes):
            pieces.append(f"DROP INDEX {index_name(table, index.name)}")
            pieces.append(index_sql(index, after, catalogue))
    changes = _with_followers(table, after, catalogue, follow, lambda column: (schema, name, column))
    changes = (Change(*key_of(table)), *changes, *_functions_followed(table, after, catalogue))
    return Plan("schema", "; ".join(pieces), "ALTER TABLE", changes)


def _functions_followed(before: Definition, after: Definition, catalogue: Catalogue) -> Iterator[Change]:
    """Yield the changes of functions that take or return a table's rows."""
    old, new = (
        table.name if table.schema == "public" else f"{table.schema}.{table.name}"
        for table in (before, after)
    )
    for function in functions(catalogue):
        arguments = tuple(
            msgspec.structs.replace(one, type=new) if one.type == old else one for one in function.arguments
        )
        returns = new if function.returns == old else function.returns
        changed = msgspec.structs.replace(function, arguments=arguments, returns=returns)
        if changed != function:
            yield Change(function.schema, function.signature, function=function, is_gone=True)
            yield Change(changed.schema, changed.signature, function=changed)


def _rename_column(table: Definition, old: str, new: str, catalogue: Catalogue) -> Plan:
    if old not in table.columns:
        raise DatabaseError(f'column "{old}" does not exist', sqlstate="42703", table=table.name, column=old)
    if new in table.columns:
        raise DatabaseError(f'column "{new}" of relation "{table.name}" already exists', sqlstate="42701")
    if table.partitioned is not None:
        raise refused("RENAME of a partitioned table's column")
    if new.lower() != old.lower():
        check_case(new, table)

    def swap(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    def swap_index(index: Index) -> Index:
        columns = tuple(new if name == old else name for name in index.columns)
        return msgspec.structs.replace(index, columns=columns)

    columns = {
        (new if name == old else name): (msgspec.structs.replace(column, name=new) if name == old else column)
        for name, column in table.columns.items()
    }
    after = msgspec.structs.replace(
        _with_trees(table, lambda tree: _column_anew(tree, old, new)),
        columns=columns,
        primary_key=swap(table.primary_key),
        foreign_keys=tuple(
            msgspec.structs.replace(key, columns=swap(key.columns)) for key in table.foreign_keys
        ),
        indexes=tuple(map(swap_index, table.indexes)),
    )
    after = msgspec.structs.replace(
        after, generated={new if name == old else name: node for name, node in after.generated.items()}
    )

    def follow(key: ForeignKey) -> ForeignKey:
        return msgspec.structs.replace(key, referenced_columns=swap(key.referenced_columns))

    def read(column: str) -> tuple[str, str, str]:
        return (table.schema, table.name, new if column == old else column)

    sql = f"ALTER TABLE {file_name(table)} RENAME COLUMN {quote(old)} TO {quote(new)}"
    return Plan("schema", sql, "ALTER TABLE", _with_followers(table, after, catalogue, follow, read))


def _rename_constraint(table: Definition, old: str, new: str, catalogue: Catalogue) -> Plan:
    if old not in constraint_names(table):
        raise DatabaseError(f'constraint "{old}" for table "{table.name}" does not exist', sqlstate="42704")
    check_new_name(new, old, table, catalogue)
    if old == table.primary or old in table.unique:
        return _index_renamed(table, old, new, catalogue)

    def swap(name: str) -> str:
        return new if name == old else name

    after = msgspec.structs.replace(
        table,
        checks=tuple(Check(swap(check.name), check.expression) for check in table.checks),
        foreign_keys=tuple(msgspec.structs.replace(key, name=swap(key.name)) for key in table.foreign_keys),
        deferred=tuple(map(swap, table.deferred)),
    )
    pieces = []
    for check in (check for check in after.checks if check.name == new):
        pieces.append(f"ALTER TABLE {file_name(table)} DROP CONSTRAINT {check_label(old, table)}")
        pieces.append(f"ALTER TABLE {file_name(table)} ADD {check_sql(check, after, catalogue)}")
    return Plan("schema", "; ".join(pieces), "ALTER TABLE", (Change(*key_of(after), after),))


def _rename_index(fields: Node, new: str, catalogue: Catalogue) -> Plan:
    relation = fields["relation"]
    schema, old = relation.get("schemaname", "public"), relation["relname"]
    owner = index_owner(catalogue, schema, old)
    if owner is None:
        if fields.get("missing_ok"):
            return Plan("schema", "", "ALTER INDEX")
        raise DatabaseError(f'relation "{old}" does not exist', sqlstate="42P01")
    check_new_name(new, old, owner, catalogue)
    return _index_renamed(owner, old, new, catalogue)


def _index_renamed(table: Definition, old: str, new: str, catalogue: Catalogue) -> Plan:
    index = next(index for index in table.indexes if index.name == old)
    renamed = msgspec.structs.replace(index, name=new)
    after = msgspec.structs.replace(
        table,
        indexes=tuple(renamed if other is index else other for other in table.indexes),
        unique=tuple(new if name == old else name for name in table.unique),
        primary=new if table.primary == old else table.primary,
        indexed={new if name == old else name: source for name, source in table.indexed.items()},
    )
    pieces = []
    if stands_beside(index, table):
        pieces = [f"DROP INDEX {index_name(table, old)}", index_sql(renamed, after, catalogue)]
    return Plan("schema", "; ".join(pieces), "ALTER INDEX", (Change(*key_of(after), after),))


def _with_trees(table: Definition, change: Callable[[Any], Any]) -> Definition:
    """Return a definition with all its expressions changed."""
    return msgspec.structs.replace(
        table,
        checks=tuple(Check(check.name, change(check.expression)) for check in table.checks),
        generated={name: change(node) for name, node in table.generated.items()},
        indexed={
            name: msgspec.structs.replace(
                source,
                keys=tuple(map(change, source.keys)),
                where=change(source.where),
                included=tuple(map(change, source.included)),
            )
            for name, source in table.indexed.items()
        },
    )


def _column_anew(tree: Any, old: str, new: str) -> Any:
    """Return an expression, or an index's key, with one column under another name."""
    if isinstance(tree, list):
        return [_column_anew(item, old, new) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "ColumnRef" in tree:
        fields = tree["ColumnRef"]["fields"]
        if strings(fields)[-1] != old:
            return tree
        return {"ColumnRef": {"fields": [*fields[:-1], {"String": {"sval": new}}]}}
    if "ordering" in tree and tree.get("name") == old:
        return {**tree, "name": new}
    return {key: _column_anew(value, old, new) for key, value in tree.items()}


def _qualified_anew(tree: Any, old: str, new: str) -> Any:
    """Return an expression with the columns that name their table under the table's new name."""
    if isinstance(tree, list):
        return [_qualified_anew(item, old, new) for item in tree]
    if not isinstance(tree, dict):
        return tree
    if "ColumnRef" in tree:
        names = strings(tree["ColumnRef"]["fields"])
        if len(names) < 2 or names[-2] != old:
            return tree
        return {"ColumnRef": {"fields": [{"String": {"sval": new}}, {"String": {"sval": names[-1]}}]}}
    return {key: _qualified_anew(value, old, new) for key, value in tree.items()}


def _with_followers(
    before: Definition,
    after: Definition,
    catalogue: Catalogue,
    follow: Callable[[ForeignKey], ForeignKey],
    read: Callable[[str], tuple[str, str, str]],
) -> tuple[Change, ...]:
    """Return the changes of a table and of all that names it: foreign keys, its own included, and views."""

    def followed(table: Definition) -> Definition:
        keys = tuple(
            follow(key) if (key.referenced_schema, key.referenced_table) == key_of(before) else key
            for key in table.foreign_keys
        )
        reads = tuple(
            read(column) if (schema, name) == key_of(before) else (schema, name, column)
            for schema, name, column in table.reads
        )
        shows = {
            name: Origin(*read(origin.column)) if (origin.schema, origin.table) == key_of(before) else origin
            for name, origin in table.shows.items()
        }
        simple = table.simple
        if simple is not None and (simple.schema, simple.name) == key_of(before):
            simple = msgspec.structs.replace(simple, schema=after.schema, name=after.name)
        return msgspec.structs.replace(table, foreign_keys=keys, reads=reads, shows=shows, simple=simple)

    others = {key_of(other): other for other, _ in pointing_at(catalogue, before)}
    others |= {
        key_of(view): view
        for view in definitions(catalogue)
        if any((schema, name) == key_of(before) for schema, name, _ in view.reads)
    }
    return (
        Change(*key_of(after), followed(after)),
        *(Change(*key, followed(other)) for key, other in others.items()),
    )

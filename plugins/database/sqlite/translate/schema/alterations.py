"""ALTER TABLE and RENAME, as far as SQLite changes a table in place."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kernel.contracts.catalogue import Catalogue, Column, ForeignKey, Index, Table
from kernel.contracts.database import DatabaseError
from plugins.database.parser import Parsed
from plugins.database.sqlite.names import engine_name, quote
from plugins.database.sqlite.statements import Change, Plan
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.schema.tables import TableBuilder, dependents, is_new
from plugins.database.sqlite.translate.scope import Scope, check_name, file_name

_REBUILD = "Write a new table, copy the rows, drop the old one and rename the new one."


def alter_table(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of an ALTER TABLE."""
    only(fields, "ALTER TABLE", "relation", "cmds", "objtype", "missing_ok")
    relation = fields["relation"]
    if (
        fields.get("missing_ok")
        and (relation.get("schemaname", "public"), relation["relname"]) not in catalogue.tables
    ):
        return Plan("schema", "", "ALTER TABLE")
    table = Scope(catalogue, ()).table(relation)
    if table.kind != "table" or fields["objtype"] != "OBJECT_TABLE":
        raise refused("ALTER of a view")
    pieces: list[str] = []
    drops, violation = "", None
    for item in fields["cmds"]:
        command = item["AlterTableCmd"]
        function = _COMMANDS.get(command["subtype"])
        if function is None:
            raise refused(f"ALTER TABLE with {command['subtype'].removeprefix('AT_')}", hint=_REBUILD)
        sql, table = function(command, table, parsed, catalogue)
        pieces += sql
        drops = drops or _dropped(command, table)
        violation = violation or _violation(command, table)
    changes = (Change(table.schema, table.name, table),)
    return Plan("schema", "; ".join(pieces), "ALTER TABLE", changes, drops, violation)


def _dropped(command: Node, table: Table) -> str:
    return f"column {command['name']} of table {table.name}" if command["subtype"] == "AT_DropColumn" else ""


def _violation(command: Node, table: Table) -> DatabaseError | None:
    """Return the error for rows that are there and do not fit what a command demands of them."""
    kind, definition = command["subtype"], command.get("def", {})
    if kind == "AT_AddConstraint" and definition["Constraint"]["contype"] == "CONSTR_CHECK":
        name = definition["Constraint"].get("conname", "")
        return DatabaseError(
            f'check constraint "{name}" of relation "{table.name}" is violated by some row',
            sqlstate="23514",
            table=table.name,
            constraint=name,
        )
    if kind in ("AT_SetNotNull", "AT_AddColumn"):
        name = command.get("name") or definition["ColumnDef"]["colname"]
        return DatabaseError(
            f'column "{name}" of relation "{table.name}" contains null values',
            sqlstate="23502",
            table=table.name,
            column=name,
        )
    return None


Result = tuple[list[str], Table]


def _column(table: Table, name: str) -> Column:
    if name not in table.columns:
        raise DatabaseError(
            f'column "{name}" of relation "{table.name}" does not exist',
            sqlstate="42703",
            table=table.name,
            column=name,
        )
    return table.columns[name]


def _add_column(command: Node, table: Table, parsed: Parsed, catalogue: Catalogue) -> Result:
    only(command, "ADD COLUMN", "subtype", "def", "behavior", "missing_ok")
    fields = command["def"]["ColumnDef"]
    if fields["colname"] in table.columns:
        if command.get("missing_ok"):
            return [], table
        raise DatabaseError(
            f'column "{fields["colname"]}" of relation "{table.name}" already exists', sqlstate="42701"
        )
    builder = TableBuilder(table.schema, table.name, parsed, catalogue, table)
    name = builder.add_column(fields)
    if any(constraint["contype"] == "CONSTR_PRIMARY" for constraint in builder.constraints):
        raise refused("ADD COLUMN with PRIMARY KEY", hint=_REBUILD)
    beside = [sql for sql in map(builder.add_constraint, builder.constraints) if sql]
    definition = " ".join([builder.column_sql(name), *beside])
    if "AUTOINCREMENT" in definition:
        raise refused("ADD COLUMN with an identity or serial column", hint=_REBUILD)
    sql = f"ALTER TABLE {file_name(table)} ADD COLUMN {definition}"
    return [sql, *builder.after], msgspec.structs.replace(builder.table(), comment=table.comment)


def _drop_column(command: Node, table: Table, parsed: Parsed, catalogue: Catalogue) -> Result:
    only(command, "DROP COLUMN", "subtype", "name", "behavior", "missing_ok")
    name = command["name"]
    if name not in table.columns and command.get("missing_ok"):
        return [], table
    _column(table, name)
    if name in table.primary_key or any(
        name in key.columns and len(key.columns) > 1 for key in table.foreign_keys
    ):
        raise refused(
            "DROP COLUMN of a column in a primary key or in a foreign key with others", hint=_REBUILD
        )
    for other, key in dependents(catalogue, table):
        if name in key.referenced_columns:
            raise DatabaseError(
                f"cannot drop column {name} of table {table.name} because other objects depend on it",
                sqlstate="2BP01",
                detail=f"constraint {key.name} on table {other.name} depends on column {name}",
            )
    gone = [index for index in table.indexes if name in index.columns]
    pieces = [f"DROP INDEX {quote(engine_name(table.schema, index.name))}" for index in gone]
    pieces.append(f"ALTER TABLE {file_name(table)} DROP COLUMN {quote(name)}")
    after = msgspec.structs.replace(
        table,
        columns={other: column for other, column in table.columns.items() if other != name},
        foreign_keys=tuple(key for key in table.foreign_keys if name not in key.columns),
        indexes=tuple(index for index in table.indexes if index not in gone),
    )
    return pieces, after


def _set_not_null(command: Node, table: Table, parsed: Parsed, catalogue: Catalogue) -> Result:
    column = _column(table, command["name"])
    nullable = command["subtype"] == "AT_DropNotNull"
    if nullable and column.identity:
        raise DatabaseError(
            f'column "{column.name}" of relation "{table.name}" is an identity column', sqlstate="42601"
        )
    if nullable and column.name in table.primary_key:
        raise DatabaseError(f'column "{column.name}" is in a primary key', sqlstate="42P16")
    if nullable == column.nullable:
        return [], table
    word = "DROP" if nullable else "SET"
    changed = {**table.columns, column.name: msgspec.structs.replace(column, nullable=nullable)}
    sql = f"ALTER TABLE {file_name(table)} ALTER COLUMN {quote(column.name)} {word} NOT NULL"
    return [sql], msgspec.structs.replace(table, columns=changed)


def _add_constraint(command: Node, table: Table, parsed: Parsed, catalogue: Catalogue) -> Result:
    only(command, "ADD CONSTRAINT", "subtype", "def", "behavior")
    fields = command["def"]["Constraint"]
    if fields["contype"] not in ("CONSTR_UNIQUE", "CONSTR_CHECK"):
        kind = fields["contype"].removeprefix("CONSTR_").lower()
        raise refused(f"ADD CONSTRAINT of kind {kind} to a table that exists", hint=_REBUILD)
    builder = TableBuilder(table.schema, table.name, parsed, catalogue, table)
    if fields["contype"] == "CONSTR_CHECK":
        pieces = [f"ALTER TABLE {file_name(table)} ADD {builder.check(fields)}"]
    else:
        builder.add_constraint(fields)
        pieces = []
    return [*pieces, *builder.after], msgspec.structs.replace(builder.table(), comment=table.comment)


def _drop_constraint(command: Node, table: Table, parsed: Parsed, catalogue: Catalogue) -> Result:
    only(command, "DROP CONSTRAINT", "subtype", "name", "behavior", "missing_ok")
    name = command["name"]
    if any(key.name == name for key in table.foreign_keys) or name == f"{table.name}_pkey":
        raise refused("DROP CONSTRAINT of a primary or foreign key", hint=_REBUILD)
    index = next((index for index in table.indexes if index.name == name), None)
    if index is not None:
        kept = tuple(other for other in table.indexes if other is not index)
        return [f"DROP INDEX {quote(engine_name(table.schema, name))}"], msgspec.structs.replace(
            table, indexes=kept
        )
    label = quote(f"{engine_name(table.schema, table.name)}/{name}")
    return [f"ALTER TABLE {file_name(table)} DROP CONSTRAINT {label}"], table


_COMMANDS: dict[str, Callable[[Node, Table, Parsed, Catalogue], Result]] = {
    "AT_AddColumn": _add_column,
    "AT_AddConstraint": _add_constraint,
    "AT_DropColumn": _drop_column,
    "AT_DropConstraint": _drop_constraint,
    "AT_DropNotNull": _set_not_null,
    "AT_SetNotNull": _set_not_null,
}


def rename(fields: Node, parsed: Parsed, catalogue: Catalogue) -> Plan:
    """Return the plan of a RENAME of a table, a column or an index."""
    only(
        fields,
        "RENAME",
        "renameType",
        "relationType",
        "relation",
        "subname",
        "newname",
        "behavior",
        "missing_ok",
    )
    table = Scope(catalogue, ()).table(fields["relation"])
    new = fields["newname"]
    check_name(new)
    if fields["renameType"] == "OBJECT_COLUMN" and table.kind == "table":
        return _rename_column(table, fields["subname"], new, catalogue)
    if fields["renameType"] == "OBJECT_TABLE" and table.kind == "table":
        return _rename_table(table, new, catalogue)
    raise refused(f"RENAME of a {fields['renameType'].removeprefix('OBJECT_').lower()}")


def _rename_column(table: Table, old: str, new: str, catalogue: Catalogue) -> Plan:
    if old not in table.columns:
        raise DatabaseError(f'column "{old}" does not exist', sqlstate="42703", table=table.name, column=old)
    if any(new.lower() == name.lower() for name in table.columns if name != old):
        raise DatabaseError(f'column "{new}" of relation "{table.name}" already exists', sqlstate="42701")

    def swap(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new if name == old else name for name in names)

    def swap_index(index: Index) -> Index:
        return msgspec.structs.replace(
            index, columns=tuple(new if name == old else name for name in index.columns)
        )

    columns = {
        (new if name == old else name): (msgspec.structs.replace(column, name=new) if name == old else column)
        for name, column in table.columns.items()
    }
    after = msgspec.structs.replace(
        table,
        columns=columns,
        primary_key=swap(table.primary_key),
        foreign_keys=tuple(
            msgspec.structs.replace(key, columns=swap(key.columns)) for key in table.foreign_keys
        ),
        indexes=tuple(map(swap_index, table.indexes)),
    )

    def follow(key: ForeignKey) -> ForeignKey:
        return msgspec.structs.replace(key, referenced_columns=swap(key.referenced_columns))

    sql = f"ALTER TABLE {file_name(table)} RENAME COLUMN {quote(old)} TO {quote(new)}"
    return Plan("schema", sql, "ALTER TABLE", _with_followers(table, after, catalogue, follow))


def _rename_table(table: Table, new: str, catalogue: Catalogue) -> Plan:
    is_new(catalogue, table.schema, new, missing_ok=False)

    def follow(key: ForeignKey) -> ForeignKey:
        return msgspec.structs.replace(key, referenced_table=new)

    after = msgspec.structs.replace(table, name=new)
    sql = f"ALTER TABLE {file_name(table)} RENAME TO {quote(engine_name(table.schema, new))}"
    changes = _with_followers(table, after, catalogue, follow)
    return Plan("schema", sql, "ALTER TABLE", (Change(table.schema, table.name), *changes))


def _with_followers(
    before: Table, after: Table, catalogue: Catalogue, follow: Callable[[ForeignKey], ForeignKey]
) -> tuple[Change, ...]:
    """Return the changes of a table and of all foreign keys that point at it, its own included."""

    def followed(table: Table) -> Table:
        keys = tuple(
            follow(key)
            if (key.referenced_schema, key.referenced_table) == (before.schema, before.name)
            else key
            for key in table.foreign_keys
        )
        return msgspec.structs.replace(table, foreign_keys=keys)

    others = {other.name: other for other, _ in dependents(catalogue, before)}.values()
    return (
        Change(after.schema, after.name, followed(after)),
        *(Change(other.schema, other.name, followed(other)) for other in others),
    )

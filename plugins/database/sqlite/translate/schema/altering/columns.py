"""ALTER TABLE's commands on columns."""

from __future__ import annotations

import re

from kernel.contracts.catalogue import Column, Index
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.kinds import DomainType
from plugins.database.sqlite.names import quote
from plugins.database.sqlite.stored import base_type, fit, split_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions import expressions
from plugins.database.sqlite.translate.nodes import Node, only, refused
from plugins.database.sqlite.translate.schema.altering.alteration import Alteration
from plugins.database.sqlite.translate.schema.dependents import Reason, partitions_of, pointing_at, readers
from plugins.database.sqlite.translate.schema.tables.building import check_collation
from plugins.database.sqlite.translate.schema.tables.constraints import check_comparable, columns_in
from plugins.database.sqlite.translate.schema.tables.defaults import (
    altered_default_text,
    default_value,
    is_null,
    makes_own_value,
)
from plugins.database.sqlite.translate.schema.tables.emission import (
    check_sql,
    column_sql,
    foreign_key_sql,
    index_name,
    index_sql,
    stands_beside,
    table_scope,
)
from plugins.database.sqlite.translate.scope import Expr

# What SQLite takes for a constant where a column is added to rows that are there.
_CONSTANT = re.compile(r"NULL|-?[0-9][0-9.eE+-]*|x?'(?:[^']|'')*'")


def add_column(command: Node, alteration: Alteration) -> None:
    """ADD COLUMN."""
    only(command, "ADD COLUMN", "subtype", "def", "behavior", "missing_ok")
    name = command["def"]["ColumnDef"]["colname"]
    if name in alteration.table.columns:
        if command.get("missing_ok"):
            return
        raise DatabaseError(
            f'column "{name}" of relation "{alteration.table.name}" already exists', sqlstate="42701"
        )
    before = alteration.table
    builder = alteration.builder()
    builder.add_column(command["def"]["ColumnDef"])
    alteration.table = after = builder.finish()
    column = after.columns[name]
    value = default_value(column, alteration.catalogue).sql
    if name not in after.generated:
        alteration.values[name] = value
    keys = [key for key in after.foreign_keys if key not in before.foreign_keys]
    if keys:
        alteration.check_references()
    if not _fits_in_place(column, value) or after.primary_key != before.primary_key or len(keys) > 1:
        alteration.anew()
        return
    definition = column_sql(column, after, alteration.catalogue)
    inline = [foreign_key_sql(key, deferred=key.name in after.deferred, inline=True) for key in keys]
    alteration.in_place(f"ADD COLUMN {' '.join([definition, *inline])}")
    for check in after.checks[len(before.checks) :]:
        clause = f"ADD {check_sql(check, after, alteration.catalogue)}"
        alteration.in_place(clause, violation=check_violation(check.name, alteration))
    new = [index for index in after.indexes if index not in before.indexes]
    alteration.also(*(index_sql(index, after, alteration.catalogue) for index in new))


def _fits_in_place(column: Column, value: str) -> bool:
    if makes_own_value(column) or (column.generated and not column.identity):
        return False
    if isinstance(column.type, DomainType):  # whose checks the rows that are there have to meet
        return False
    return bool(_CONSTANT.fullmatch(value)) and (column.nullable or value != "NULL")


def check_violation(name: str, alteration: Alteration) -> DatabaseError:
    """Return the error for rows that a new check does not let through."""
    return DatabaseError(
        f'check constraint "{name}" of relation "{alteration.table.name}" is violated by some row',
        sqlstate="23514",
        table=alteration.table.name,
        constraint=name,
    )


def drop_column(command: Node, alteration: Alteration) -> None:
    """DROP COLUMN, and with it the constraints and indexes that it is a part of."""
    only(command, "DROP COLUMN", "subtype", "name", "behavior", "missing_ok")
    name = command["name"]
    if name not in alteration.table.columns and command.get("missing_ok"):
        return
    alteration.column(name)
    before = alteration.table
    if before.partitioned is not None and name in before.partitioned.columns:
        message = (
            f'cannot drop column "{name}" because it is part of the partition key of relation "{before.name}"'
        )
        raise DatabaseError(message, sqlstate="42P16")
    reason = Reason(
        f"column {name} of table {before.name}",
        command["behavior"] == "DROP_CASCADE",
        several=bool(partitions_of(alteration.catalogue, before)),
    )
    names = {name} | {other for other, node in before.generated.items() if name in columns_in(node)}
    for other in names - {name}:
        reason.check(f"column {other} of table {before.name}")
    alteration.dropped.columns(before, names, reason)
    for key in before.foreign_keys:
        points_back = (key.referenced_schema, key.referenced_table) == (before.schema, before.name)
        if points_back and names & set(key.referenced_columns) and not names & set(key.columns):
            reason.check(f"constraint {key.name} on table {before.name}")
    gone = _without(names, alteration)
    after = alteration.table
    if not after.columns:
        raise refused("a table without columns")
    kept = len(before.checks) == len(after.checks) and len(before.foreign_keys) == len(after.foreign_keys)
    if len(names) > 1 or not kept or before.primary != after.primary or makes_own_value(before.columns[name]):
        alteration.anew()
    alteration.also(*(f"DROP INDEX {index_name(before, index.name)}" for index in gone))
    alteration.in_place(f"DROP COLUMN {quote(name)}")


def _without(names: set[str], alteration: Alteration) -> list[Index]:
    """Take columns out of the table with all that stands on them; returns the indexes that stood beside it."""
    table = alteration.table
    gone = [index for index in table.indexes if _uses(index, names, alteration)]
    labels = {index.name for index in gone}
    alteration.change(
        columns={name: column for name, column in table.columns.items() if name not in names},
        generated={name: node for name, node in table.generated.items() if name not in names},
        checks=tuple(check for check in table.checks if not names & columns_in(check.expression)),
        foreign_keys=tuple(
            key
            for key in table.foreign_keys
            if not names & set(key.columns)
            and not (
                (key.referenced_schema, key.referenced_table) == (table.schema, table.name)
                and names & set(key.referenced_columns)
            )
        ),
        indexes=tuple(index for index in table.indexes if index not in gone),
        unique=tuple(name for name in table.unique if name not in labels),
        indexed={name: source for name, source in table.indexed.items() if name not in labels},
    )
    if table.primary in labels:
        alteration.change(primary=None, primary_key=())
    return [index for index in gone if stands_beside(index, table)]


def _uses(index: Index, names: set[str], alteration: Alteration) -> bool:
    if names & set(index.columns):
        return True
    source = alteration.table.indexed.get(index.name)
    return source is not None and bool(names & columns_in([*source.keys, *source.included, source.where]))


def set_not_null(command: Node, alteration: Alteration) -> None:
    """SET NOT NULL and DROP NOT NULL."""
    column = alteration.column(command["name"])
    nullable = command["subtype"] == "AT_DropNotNull"
    if nullable and column.identity:
        raise _is("an identity column", column, alteration)
    if nullable and column.name in alteration.table.primary_key:
        raise DatabaseError(f'column "{column.name}" is in a primary key', sqlstate="42P16")
    if nullable == column.nullable:
        return
    alteration.change_column(column.name, nullable=nullable)
    violation = DatabaseError(
        f'column "{column.name}" of relation "{alteration.table.name}" contains null values',
        sqlstate="23502",
        table=alteration.table.name,
        column=column.name,
    )
    clause = f"ALTER COLUMN {quote(column.name)} {'DROP' if nullable else 'SET'} NOT NULL"
    alteration.in_place(clause, violation=None if nullable else violation)


def set_default(command: Node, alteration: Alteration) -> None:
    """SET DEFAULT and DROP DEFAULT."""
    column = alteration.column(command["name"])
    if column.identity:
        raise _is("an identity column", column, alteration)
    if column.name in alteration.table.generated:
        raise _is("a generated column", column, alteration)
    given = "def" in command and not is_null(command["def"])
    text = altered_default_text(alteration.parsed, command["def"]) if given else None
    if text == column.default:
        return
    alteration.change_column(column.name, default=text)
    if makes_own_value(alteration.table.columns[column.name]):
        raise refused("a default of nextval() for a column that is there")
    alteration.anew()


def _is(what: str, column: Column, alteration: Alteration) -> DatabaseError:
    return DatabaseError(
        f'column "{column.name}" of relation "{alteration.table.name}" is {what}',
        sqlstate="42601",
        column=column.name,
    )


def prepare_type(command: Node, alteration: Alteration) -> None:
    """Look at an ALTER COLUMN ... TYPE before anything is done: PostgreSQL does, whatever stands before it."""
    column = alteration.column(command["name"])
    fields = command["def"]["ColumnDef"]
    if column.name not in alteration.table.generated:
        _converted(
            column,
            types.type_name(fields["typeName"], alteration.catalogue),
            fields.get("raw_default"),
            alteration,
        )


def set_type(command: Node, alteration: Alteration) -> None:
    """ALTER COLUMN ... TYPE ... USING."""
    column = alteration.column(command["name"])
    fields = command["def"]["ColumnDef"]
    if column.name in alteration.retyped:
        raise DatabaseError(f'cannot alter type of column "{column.name}" twice', sqlstate="0A000")
    alteration.retyped.add(column.name)
    only(fields, "ALTER COLUMN TYPE", "typeName", "raw_default", "collClause")
    check_collation(fields)
    target = types.type_name(fields["typeName"], alteration.catalogue)
    if target in types.SERIALS:
        raise DatabaseError(f'type "{target}" does not exist', sqlstate="42704")
    _check_alterable(column, alteration)
    if "raw_default" in fields and column.name in alteration.table.generated:
        raise DatabaseError("cannot specify USING when altering type of generated column", sqlstate="42611")
    if makes_own_value(column) and base_type(target) not in types.INTEGERS:
        raise DatabaseError(
            "identity column type must be smallint, integer, or bigint", sqlstate="22023", column=column.name
        )
    alteration.change_column(column.name, type=target)
    _check_references(column.name, alteration)
    value = None
    if column.name not in alteration.table.generated:
        value = _converted(column, target, fields.get("raw_default"), alteration)
    if column.default is not None and not makes_own_value(column):
        _check_default(column, target, alteration)
    if value is not None and "raw_default" not in fields and _widens(column.type, target):
        return
    if value is not None:
        alteration.values[column.name] = value
    alteration.check_references()
    alteration.anew()


def _check_alterable(column: Column, alteration: Alteration) -> None:
    for other, node in alteration.table.generated.items():
        if column.name in columns_in(node):
            raise DatabaseError(
                "cannot alter type of a column used by a generated column",
                sqlstate="0A000",
                detail=f'Column "{column.name}" is used by generated column "{other}".',
            )
    for view in readers(alteration.catalogue, alteration.before, column.name):
        raise DatabaseError(
            "cannot alter type of a column used by a view or rule",
            sqlstate="0A000",
            detail=f'rule _RETURN on view {view.name} depends on column "{column.name}"',
        )


def _check_references(name: str, alteration: Alteration) -> None:
    """Raise 42804 for a foreign key whose ends would no longer compare."""
    table = alteration.table
    pairs = [(table, key) for key in table.foreign_keys]
    for owner, key in [*pairs, *pointing_at(alteration.catalogue, table)]:
        points_here = (key.referenced_schema, key.referenced_table) == (table.schema, table.name)
        target = (
            table if points_here else alteration.catalogue.table(key.referenced_table, key.referenced_schema)
        )
        if target is not None and (
            (owner is table and name in key.columns) or (points_here and name in key.referenced_columns)
        ):
            ends = zip(key.columns, key.referenced_columns, strict=True)
            check_comparable(key.name, [(owner.columns[one], target.columns[other]) for one, other in ends])


def _converted(column: Column, target: str, using: Node | None, alteration: Alteration) -> str:
    scope = table_scope(alteration.before, alteration.catalogue)
    expr = scope.column(column.name) if using is None else expressions.emit(using, scope)
    try:
        value = types.coerce(expr, target, assign=True)
    except DatabaseError as error:
        if error.sqlstate != "42804":
            raise
        subject = "column" if using is None else "result of USING clause for column"
        raise DatabaseError(
            f'{subject} "{column.name}" cannot be cast automatically to type {base_type(target)}',
            sqlstate="42804",
            hint=f'You might need to specify "USING {column.name}::{target}".' if using is None else None,
        ) from error
    return fit(target, value.sql)


def _check_default(column: Column, target: str, alteration: Alteration) -> None:
    kind = base_type(column.type)
    try:
        types.coerce(Expr("", kind), target, assign=True)
        default_value(alteration.table.columns[column.name], alteration.catalogue)
    except DatabaseError as error:
        if error.sqlstate != "42804":
            raise
        raise DatabaseError(
            f'default for column "{column.name}" cannot be cast automatically to type {base_type(target)}',
            sqlstate="42804",
        ) from error


def _widens(source: str, target: str) -> bool:
    """Tell whether every stored value of one text type is one of another as it is."""
    (one, lengths), (other, longest) = split_type(source), split_type(target)
    if one not in types.TEXTS or other not in types.TEXTS:
        return False
    return not longest or bool(lengths and lengths[0] <= longest[0])


def add_identity(command: Node, alteration: Alteration) -> None:
    """ADD GENERATED ... AS IDENTITY."""
    column = alteration.column(command["name"])
    if column.nullable:
        raise DatabaseError(
            f'column "{column.name}" of relation "{alteration.table.name}" must be declared NOT NULL before '
            "identity can be added",
            sqlstate="55000",
        )
    if column.identity:
        raise DatabaseError(
            f'column "{column.name}" of relation "{alteration.table.name}" is already an identity column',
            sqlstate="55000",
        )
    if column.default is not None:
        raise DatabaseError(
            f'column "{column.name}" of relation "{alteration.table.name}" already has a default value',
            sqlstate="55000",
        )
    builder = alteration.builder()
    builder.add_identity(column.name, command["def"]["Constraint"])
    alteration.table = builder.finish()
    alteration.anew()


def set_identity(command: Node, alteration: Alteration) -> None:
    """SET GENERATED ALWAYS or BY DEFAULT."""
    column = _identity(command["name"], alteration)
    for option in command["def"]["List"]["items"]:
        fields = option["DefElem"]
        if fields["defname"] != "generated":
            raise refused(f"SET {fields['defname'].upper()} of an identity column")
        alteration.change_column(column.name, generated=fields["arg"]["Integer"]["ival"] == ord("a"))


def drop_identity(command: Node, alteration: Alteration) -> None:
    """DROP IDENTITY."""
    if command.get("missing_ok") and not alteration.column(command["name"]).identity:
        return
    column = _identity(command["name"], alteration)
    alteration.change_column(column.name, identity=False, generated=False)
    alteration.anew()


def _identity(name: str, alteration: Alteration) -> Column:
    column = alteration.column(name)
    if column.identity:
        return column
    raise DatabaseError(
        f'column "{column.name}" of relation "{alteration.table.name}" is not an identity column',
        sqlstate="55000",
    )


def drop_expression(command: Node, alteration: Alteration) -> None:
    """DROP EXPRESSION: a generated column keeps its values and becomes one like the others."""
    column = alteration.column(command["name"])
    if column.name not in alteration.table.generated:
        if command.get("missing_ok"):
            return
        raise DatabaseError(
            f'column "{column.name}" of relation "{alteration.table.name}" is not a stored generated column',
            sqlstate="55000",
        )
    generated = {name: node for name, node in alteration.table.generated.items() if name != column.name}
    alteration.change(generated=generated)
    alteration.change_column(column.name, generated=False)
    alteration.anew()

"""The sequences behind columns that number the rows: their names, and ``nextval()`` and its kin on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kernel.contracts.catalogue import Column, Table
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.names import engine_name, identifier, object_name, text_literal
from plugins.database.sqlite.rights.access import no_sequence
from plugins.database.sqlite.stored import base_type
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.schema.tables.defaults import makes_own_value
from plugins.database.sqlite.translate.scope import Expr, Scope

_MOST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def emit_sequence(name: str, fields: Node, scope: Scope) -> Expr | None:
    """Emit a call of a function on sequences; None for any other function."""
    found = _FUNCTIONS.get(name)
    if found is None:
        return None
    only(fields, f"{name}()", "funcname", "funcformat", "args")
    counts, function = found
    arguments = fields.get("args", [])
    if len(arguments) not in counts:
        return None
    return function(arguments, scope)._replace(name=name)


def _serial(arguments: Sequence[Node], scope: Scope) -> Expr:
    relation, column = (_text(argument) for argument in arguments)
    schema, table_name = _parts(relation)
    table = scope.catalogue.table(table_name, schema)
    if table is None:
        raise DatabaseError(f'relation "{relation}" does not exist', sqlstate="42P01")
    if column not in table.columns:
        raise DatabaseError(
            f'column "{column}" of relation "{table_name}" does not exist', sqlstate="42703", column=column
        )
    if not makes_own_value(table.columns[column]):
        return Expr("NULL", "text", is_null=True)
    name = f"{identifier(schema)}.{identifier(sequence_name(table, table.columns[column]))}"
    return Expr(text_literal(name), "text", literal=None)


def sequence_name(table: Table, column: Column) -> str:
    """Return the name that PostgreSQL gives to the sequence behind a column."""
    return object_name([table.name, column.name], "seq")


def _next(arguments: Sequence[Node], scope: Scope) -> Expr:
    table, column = _sequence(arguments[0], scope)
    if scope.rights is not None:
        scope.rights.access(table).numbers.add(column.name)
    return Expr(f"pg_nextval({_file(table)})", "bigint")


def _current(arguments: Sequence[Node], scope: Scope) -> Expr:
    table, column = _sequence(arguments[0], scope)
    if scope.rights is not None:
        scope.rights.access(table).numbers.add(column.name)
    return Expr(f"pg_currval({_file(table)}, {text_literal(sequence_name(table, column))})", "bigint")


def _set(arguments: Sequence[Node], scope: Scope) -> Expr:
    from plugins.database.sqlite.translate.expressions import expressions

    table, column = _sequence(arguments[0], scope)
    if scope.rights is not None:
        raise no_sequence(sequence_name(table, column), table)
    value = types.coerce(expressions.emit(arguments[1], scope), "bigint", assign=True).sql
    called = types.coerce(expressions.emit(arguments[2], scope), "boolean").sql if len(arguments) > 2 else "1"
    most = _MOST[base_type(column.type)]
    name = text_literal(sequence_name(table, column))
    return Expr(f"pg_setval({_file(table)}, {value}, {called}, {name}, {most})", "bigint")


_FUNCTIONS: dict[str, tuple[tuple[int, ...], Callable[[Sequence[Node], Scope], Expr]]] = {
    "currval": ((1,), _current),
    "nextval": ((1,), _next),
    "pg_get_serial_sequence": ((2,), _serial),
    "setval": ((2, 3), _set),
}


def _file(table: Table) -> str:
    return text_literal(engine_name(table.schema, table.name))


def _sequence(node: Node, scope: Scope) -> tuple[Table, Column]:
    """Return the column that a sequence is behind, given what names it; raises 42P01 where there is none."""
    text = _text(node, scope)
    schema, name = _parts(text)
    for table in scope.catalogue.tables.values():
        if table.schema == schema:
            for column in filter(makes_own_value, table.columns.values()):
                if sequence_name(table, column) == name:
                    return table, column
    raise DatabaseError(f'relation "{text}" does not exist', sqlstate="42P01")


def _text(node: Node, scope: Scope | None = None) -> str:
    """Return a name that is written out, also as ``regclass``, or as pg_get_serial_sequence() tells it."""
    kind, fields = kind_of(node)
    if kind == "TypeCast" and strings(fields["typeName"]["names"])[-1] in ("regclass", "text"):
        return _text(fields["arg"], scope)
    if (
        kind == "FuncCall"
        and scope is not None
        and strings(fields["funcname"])[-1] == "pg_get_serial_sequence"
    ):
        made = _serial(fields["args"], scope)
        if made.is_null:
            raise refused("a sequence that is NULL")
        return made.sql[1:-1].replace("''", "'")
    if kind != "A_Const" or "sval" not in fields:
        raise refused("a sequence whose name is not written out")
    return str(fields["sval"].get("sval", ""))


def _parts(text: str) -> tuple[str, str]:
    """Return schema and name of a relation as PostgreSQL reads it from a text."""
    found, quoted, word = [], False, ""
    for letter in text:
        if letter == '"':
            quoted = not quoted
        elif letter == "." and not quoted:
            found.append(word)
            word = ""
        else:
            word += letter if quoted else letter.lower()
    found.append(word)
    if len(found) > 2 or quoted:
        raise DatabaseError("invalid name syntax", sqlstate="42602")
    return ("public", found[0]) if len(found) == 1 else (found[0], found[1])

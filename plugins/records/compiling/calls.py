"""Calls of functions: as a statement over what they return, and what goes in and comes out where they stand alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Column, Function, Table
from kernel.contracts.database import Row
from kernel.contracts.queries import Call, Field, Item
from plugins.records.compiling.selection import Selection
from plugins.records.compiling.statement import Scope, Statement
from plugins.records.dialects.dialect import Assignment, Called
from plugins.records.functions import arguments_given, returned, rows_of
from plugins.records.plans import Plan

_CALL = '".call"'
_NUMBERS = ("smallint", "integer", "bigint", "real", "double precision", "numeric")
_DOCUMENTS = ("json", "jsonb")

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def compile_call(statement: Statement, call: Call, function: Function, catalogue: Catalogue) -> Plan:
    """Compile a call of a function; what is not a row is a column named as the function."""
    table = returned(catalogue, function)
    selection, shown = Selection(statement), table or _of_values(function)
    read = [
        Assignment(one.name, statement.database.stored(one.type).assign_json, one.name)
        for one in shown.columns.values()
    ]
    if function.language == "python":
        called = Called(statement.dialect.given(shown, read))
    else:
        taking = [one for one in function.arguments if rows_of(catalogue, one.type) is not None]
        called = statement.dialect.called(function, call, read, taking, is_row=table is not None)
    scope = Scope(shown, _CALL, _CALL)
    counts = call.counted and (call.limit is not None or call.offset > 0)
    if table is not None:
        rows = selection.rows(scope, call)
        counted = rows.counted if counts else None
        page = statement.dialect.page(rows.members, rows.source, rows.ending, counted)
    else:
        (value,) = selection.members(scope, (Item(Field(function.name)),))
        source = selection.source(scope, None, [])
        page = statement.dialect.each(value, source, selection.part(call), source if counts else None)
    return statement.plan(f"WITH {_CALL} AS MATERIALIZED ({called.query}) {page}", called.first)


def given(function: Function, call: Call) -> dict[str, Any]:
    """Return the arguments of a call that stands alone, as values of the Database contract by parameter."""
    if call.whole is not None:
        return {"a0": call.arguments}
    members = _decode(call.arguments)
    taken = arguments_given(function, call)
    return {
        f"a{place}": _value(bytes(members[argument.name or ""]), argument.type, texts=call.texts)
        for place, argument in enumerate(taken)
    }


def as_json(function: Function, catalogue: Catalogue, rows: Sequence[Row]) -> str:
    """Return the rows of a call that stood alone as a JSON array of objects, exact numbers digit for digit."""
    columns = (returned(catalogue, function) or _of_values(function)).columns.values()
    return f"[{','.join(_object(columns, row) for row in rows)}]"


def _of_values(function: Function) -> Table:
    kind = "text" if function.returns == "void" else function.returns
    return Table(function.schema, function.name, "view", {function.name: Column(function.name, kind)})


def _value(raw: bytes, kind: str, *, texts: bool) -> Any:
    if raw == b"null":
        return None
    if kind in _DOCUMENTS and not texts:
        return raw.decode()
    return _decode_text(raw) if raw.startswith(b'"') else raw.decode()


def _object(columns: Iterable[Column], row: Row) -> str:
    members = (
        f"{_encode(column.name).decode()}:{_member(value, column.type)}"
        for column, value in zip(columns, row, strict=True)
    )
    return f"{{{','.join(members)}}}"


def _member(value: Any, kind: str) -> str:
    if value is None:
        return "null"
    base = kind.partition("(")[0].strip()
    if base == "boolean":
        return "true" if value else "false"
    if base in _DOCUMENTS or base.endswith("[]") or (base in _NUMBERS and isinstance(value, str)):
        return str(value)
    return _encode(f"\\x{value.hex()}" if isinstance(value, bytes) else value).decode()

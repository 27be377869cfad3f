"""Signatures: what a function in Python takes and returns, in the catalogue's terms."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

import msgspec

from kernel.contracts.catalogue import Argument, Function
from kernel.contracts.procedures import Procedure

GIVEN = ("transaction", "identity")
"""The parameters that no client gives."""

_TYPES: dict[Any, str] = {
    bool: "boolean",
    int: "bigint",
    float: "double precision",
    Decimal: "numeric",
    str: "text",
    UUID: "uuid",
    datetime: "timestamp with time zone",
    date: "date",
    time: "time without time zone",
}
_SETS = (list, Sequence, Iterable, Iterator)
_EMPTY = inspect.Parameter.empty
_VARIADIC = (
    inspect.Parameter.VAR_POSITIONAL,
    inspect.Parameter.VAR_KEYWORD,
    inspect.Parameter.POSITIONAL_ONLY,
)

_encode = msgspec.json.Encoder(decimal_format="number").encode


class Signature(msgspec.Struct, frozen=True):
    """A function as the catalogue tells of it, what decodes its arguments, and which of `GIVEN` it takes."""

    function: Function
    arguments: type[msgspec.Struct]
    given: frozenset[str]


def signature(procedure: Procedure) -> Signature:
    """Return a procedure's signature; raises TypeError where it has none that clients could use."""
    call = procedure.call
    name = procedure.name or str(getattr(call, "__name__", ""))
    if inspect.iscoroutinefunction(call):
        raise TypeError(f"{name} is an async function; a call runs in a thread")
    hints = get_type_hints(call, include_extras=True)
    arguments, fields = [], []
    parameters = inspect.signature(call).parameters.values()
    for parameter in parameters:
        if parameter.name in GIVEN:
            continue
        if parameter.kind in _VARIADIC or parameter.name not in hints:
            raise TypeError(f"{name}: the parameter {parameter.name!r} needs a name and an annotation")
        hint = hints[parameter.name]
        required = parameter.default is _EMPTY
        default = None if required else _literal(parameter.default)
        arguments.append(Argument(parameter.name, kind(hint), default))
        fields.append(
            (parameter.name, hint) if required else (parameter.name, hint | msgspec.UnsetType, msgspec.UNSET)
        )
    if "return" not in hints:
        raise TypeError(f"{name}: annotate what it returns")
    returns, is_set, columns = _returned(hints["return"])
    found = Function(
        procedure.schema,
        name,
        tuple(arguments),
        returns,
        is_set,
        columns,
        procedure.volatility,
        language="python",
        comment=procedure.comment or inspect.getdoc(call),
    )
    decoded = msgspec.defstruct("Arguments", fields, kw_only=True)
    return Signature(found, decoded, frozenset(one.name for one in parameters if one.name in GIVEN))


def kind(hint: Any) -> str:
    """Return the type of PostgreSQL's that values of a Python type are."""
    hint = _present(hint)
    if hint in _TYPES:
        return _TYPES[hint]
    if get_origin(hint) is Literal and all(isinstance(value, str) for value in get_args(hint)):
        return "text"
    if get_origin(hint) is list and _present(get_args(hint)[0]) in _TYPES:
        return f"{_TYPES[_present(get_args(hint)[0])]}[]"
    return "jsonb"


def _returned(hint: Any) -> tuple[str, bool, tuple[Argument, ...]]:
    """Return a result's type, whether it is a set, and the columns if its rows have some."""
    hint = _present(hint)
    if hint in (None, NoneType):
        return "void", False, ()
    is_set = get_origin(hint) in _SETS and bool(get_args(hint))
    one = _present(get_args(hint)[0]) if is_set else hint
    if isinstance(one, type) and issubclass(one, msgspec.Struct):
        fields = msgspec.structs.fields(one)
        return "record", is_set, tuple(Argument(field.encode_name, kind(field.type)) for field in fields)
    if is_set and kind(one) != "jsonb":
        return kind(one), True, ()
    return kind(hint), False, ()


def _present(hint: Any) -> Any:
    """Return a type without what is annotated to it and without None, which every value may be."""
    if get_origin(hint) is Annotated:
        return _present(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        others = [one for one in get_args(hint) if one is not NoneType]
        if len(others) == 1:
            return _present(others[0])
    return hint


def _literal(default: Any) -> str:
    """Write a default as SQL, for whoever reads of it."""
    text = _encode(default).decode()
    if text == "null":
        return text
    return (
        text
        if isinstance(default, bool | int | float | Decimal)
        else "'" + text.strip('"').replace("'", "''") + "'"
    )

"""Functions on types themselves: ``pg_typeof`` and those of enumerations."""

from __future__ import annotations

import msgspec

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.kinds import DomainType, EnumArray, EnumType
from plugins.database.sqlite.names import text_literal
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.expressions.signatures import of_any_type, unknown_type
from plugins.database.sqlite.translate.scope import Expr


def type_of(name: str, arguments: list[Expr]) -> Expr | None:
    """Emit ``pg_typeof``, which is known before there is a value."""
    if len(arguments) != 1:
        return None
    (given,) = arguments
    if given.sql.startswith(":"):
        of_any_type(given)
    kind = given.modified if isinstance(given.modified, DomainType) else given.type
    return Expr(text_literal(kind or "unknown"), "regtype", name=name)


def enum_labels(name: str, arguments: list[Expr]) -> Expr | None:
    """Emit ``enum_range``, ``enum_first`` and ``enum_last``."""
    kind = next((one.type for one in arguments if one.type is not None), None)
    if kind is None and arguments:
        raise unknown_type()
    if not isinstance(kind, EnumType) or len(arguments) > (2 if name == "enum_range" else 1):
        return None
    if name != "enum_range":
        return Expr(text_literal(kind.labels[0 if name == "enum_first" else -1]), kind, name=name)
    labels = text_literal(msgspec.json.encode(kind.labels).decode())
    if len(arguments) == 1:
        return Expr(labels, EnumArray.of(kind), name=name)
    try:
        low, high = (types.coerce(one, kind).sql for one in arguments)
    except DatabaseError:
        return None
    return Expr(f"pg_enum_range({labels}, {low}, {high})", EnumArray.of(kind), name=name)


SPECIAL = {
    "pg_typeof": type_of,
    "enum_first": enum_labels,
    "enum_last": enum_labels,
    "enum_range": enum_labels,
}

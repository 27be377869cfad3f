"""Signatures: what a function or an operator takes and gives, and which of several fits the arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.kinds import RowType
from plugins.database.sqlite.stored import array_of, element_of, form_of, output, row_json
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.nodes import refused
from plugins.database.sqlite.translate.scope import Expr, WholeRow

_MISMATCH = 100
# Functions of any type, or of any array: PostgreSQL takes a literal without a type for none of them.
_POLYMORPHIC = frozenset({
    "array_length", "array_lower", "array_ndims", "array_to_json", "array_to_string", "array_upper", "cardinality",
    "to_json", "to_jsonb", "trim_array",
})  # fmt: skip
_WRAPPED = "wrapped "


class Signature(NamedTuple):
    """One function: its arguments' types, its SQL, and its result's type.

    An argument's type is a base type, or one of these: ``any`` leaves it as it is (text where unknown), ``same``
    is the first argument's type, ``array`` any array, ``element`` what that array holds and ``wrapped`` an array
    of that one element, ``shown`` anything as ``concat`` writes it, ``as json`` anything as SQLite's JSON
    functions take it, ``row`` a whole row as they do. The result may be ``same``, ``array`` or ``element`` too. The
    last argument of a `variadic` one may come any number of times.

    In `sql`, ``{0}`` is the first argument and ``{*}`` all; `around` stands around an aggregate's call ``{}``.
    """

    arguments: tuple[str, ...]
    sql: str
    result: str
    variadic: bool = False
    around: str = "{}"


Table = dict[str, tuple[Signature, ...]]


def merged(*tables: Table) -> Table:
    """Return tables as one, in which a name has the signatures of all."""
    result: Table = {}
    for table in tables:
        for name, signatures in table.items():
            result[name] = result.get(name, ()) + signatures
    return result


def resolve(
    signatures: Sequence[Signature], arguments: list[Expr]
) -> tuple[Signature, list[Expr], str] | None:
    """Return the signature that fits best, its converted arguments and its result's type; None where none fits."""
    for signature in sorted(signatures, key=lambda one: _cost(one, arguments)):
        expected = _expected(signature, arguments)
        converted = _converted(expected, arguments) if expected is not None else None
        if expected is not None and converted is not None:
            return signature, converted, _result(signature, expected, converted)
    return None


def call(sql: str, arguments: list[Expr]) -> str:
    """Put arguments into a template."""
    pieces = sql.replace("{*}", ", ".join(f"{{{place}}}" for place in range(len(arguments)))).split("{")
    result = [pieces[0]]
    for piece in pieces[1:]:
        place, _, rest = piece.partition("}")
        result += [arguments[int(place)].sql, rest]
    return "".join(result)


def apply(name: str, signatures: Sequence[Signature], arguments: list[Expr]) -> Expr | None:
    """Emit a call of the signature that fits best; None where none fits."""
    if name in _POLYMORPHIC and arguments and arguments[0].type is None:
        raise unknown_type()
    found = resolve(signatures, arguments)
    if found is None:
        return None
    signature, converted, result = found
    return Expr(call(signature.sql, converted), result, name=name)


def missing(name: str, arguments: list[Expr]) -> DatabaseError:
    """Return the error for a function that these types do not have."""
    if name.startswith("jsonb_path_"):
        return refused(f"jsonpath, by {name}(),")
    if name == "unnest" and len(arguments) > 1:
        return refused("unnest() of several arrays")
    listed = ", ".join(expr.type or "unknown" for expr in arguments)
    return DatabaseError(
        f"function {name}({listed}) does not exist",
        sqlstate="42883",
        hint="No function matches the given name and argument types, or it is not supported on SQLite.",
    )


def unknown_type() -> DatabaseError:
    """Return the error for a call whose result has the type of an argument of which nobody knows it."""
    return DatabaseError(
        "could not determine polymorphic type because input has type unknown", sqlstate="42804"
    )


def _cost(signature: Signature, arguments: list[Expr]) -> int:
    """Count the arguments that do not have their type already: the fewer, the better a signature fits."""
    known = {argument.type for argument in arguments}
    pairs = zip(signature.arguments, arguments, strict=False)
    return sum(_distance(target, argument.type, known) for target, argument in pairs)


def _distance(target: str, source: str | None, known: set[str | None]) -> int:
    if target in ("any", "same", "element", "shown") or target == source:
        return 0
    if target == "array":
        return 0 if source is None or element_of(source) else _MISMATCH
    if target == "row":
        return 0 if isinstance(source, RowType) else _MISMATCH
    if target in ("wrapped", "as json"):
        return 1
    if source is None:
        # What is unknown is taken to be of the other side's type, where there is one, or else to be text.
        return 0 if target in known else 1 if target == "text" else 2
    return 1 if types.converts(source, target) else _MISMATCH


def _expected(signature: Signature, arguments: list[Expr]) -> list[str] | None:
    """Return the types the arguments are to have, what is polymorphic resolved; None where that fails."""
    expected = list(signature.arguments)
    if any(argument.argument for argument in arguments):
        return None
    if signature.variadic:
        expected += [expected[-1]] * (len(arguments) - len(expected))
    if len(expected) != len(arguments):
        return None
    if not {"array", "element", "wrapped"} & set(expected):
        return expected
    element = _element(expected, arguments)
    if element is None:
        return None
    concrete = {"array": array_of(element), "element": element, "wrapped": _WRAPPED + element}
    return [concrete.get(target, target) for target in expected]


def _element(expected: list[str], arguments: list[Expr]) -> str | None:
    found = []
    for target, argument in zip(expected, arguments, strict=True):
        if argument.type is None:
            continue
        if target == "array":
            held = element_of(argument.type)
            if held is None:
                return None
            found.append(Expr("", held))
        elif target in ("element", "wrapped"):
            found.append(Expr("", argument.type))
    try:
        return types.common(found, "array") if found else None
    except DatabaseError:
        return None


def _result(signature: Signature, expected: list[str], converted: list[Expr]) -> str:
    if signature.result == "same":
        return converted[0].type or "text"
    if signature.result not in ("array", "element"):
        return signature.result
    for target, resolved in zip(signature.arguments, expected, strict=False):
        if target == "array":
            return resolved if signature.result == "array" else element_of(resolved) or "text"
        if target == "element":
            return array_of(resolved) if signature.result == "array" else resolved
    return array_of(converted[0].type or "text")


def _converted(expected: list[str], arguments: list[Expr]) -> list[Expr] | None:
    result: list[Expr] = []
    for target, argument in zip(expected, arguments, strict=True):
        try:
            result.append(_argument(target, argument, result))
        except DatabaseError as error:
            if error.sqlstate != "42804":
                raise
            return None
    return result


def _argument(target: str, argument: Expr, before: list[Expr]) -> Expr:
    if target == "any":
        return types.settle(argument)
    if target.startswith(_WRAPPED):
        element = target.removeprefix(_WRAPPED)
        return Expr(f"json_array({as_json(types.coerce(argument, element)).sql})", array_of(element))
    if target == "shown":
        return shown(argument)
    if target == "as json":
        return as_json(argument)
    if target == "row":
        return _row(argument)
    if target == "same":
        return types.coerce(argument, before[0].type or "text")
    return types.coerce(argument, target)


def of_any_type(argument: Expr) -> Expr:
    """Return a value where any type will do, a literal as text; raises 42P18 for a parameter without a type."""
    if argument.type is None and argument.sql.startswith(":"):
        raise DatabaseError(
            f"could not determine data type of parameter {argument.sql}",
            sqlstate="42P18",
            hint=f"Cast it: {argument.sql}::text.",
        )
    return types.settle(argument)


def shown(argument: Expr) -> Expr:
    """Return a value as text the way output functions write it: ``t`` for a true boolean."""
    settled = of_any_type(argument)
    return Expr(output(settled.type or "text", settled.sql), "text")


def as_json(argument: Expr) -> Expr:
    """Return a value as SQLite's JSON functions take it: a number, text, or JSON of its own."""
    settled = of_any_type(argument)
    if settled.row is not None and isinstance(settled.type, RowType):
        return settled._replace(sql=_as_object(settled.row, settled.type))
    return settled._replace(sql=form_of(settled.type or "text").json.replace("{}", settled.sql))


def _row(argument: Expr) -> Expr:
    if not isinstance(argument.type, RowType):
        raise DatabaseError(f"{argument.type or 'unknown'} is no row", sqlstate="42804")
    return as_json(argument)


def _as_object(row: WholeRow, kind: RowType) -> str:
    found = row_json([(name, declared, row.fields[name].sql) for name, declared in kind.columns])
    return found if row.absent is None else f"iif({row.absent}, NULL, {found})"

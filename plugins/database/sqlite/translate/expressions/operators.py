"""Operators: which types they take, what they give, and how SQLite says it."""

from __future__ import annotations

from collections.abc import Callable

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.stored import element_of, form_of
from plugins.database.sqlite.translate import types
from plugins.database.sqlite.translate.builtins import (
    arrays,
    documents,
    moments,
    money,
    ranges,
    search,
    texts,
)
from plugins.database.sqlite.translate.builtins import numbers as builtin_numbers
from plugins.database.sqlite.translate.expressions.signatures import Table, apply, merged
from plugins.database.sqlite.translate.nodes import refused
from plugins.database.sqlite.translate.scope import Expr
from plugins.database.sqlite.translate.types import INTEGERS, NUMBERS, TEXTS
from plugins.database.sqlite.values.numeric import numbers
from plugins.database.sqlite.values.textual import patterns

# What the operators of the language itself take; everything else has signatures.
_PLAIN = {None, *NUMBERS, *TEXTS}
_OPERATORS: Table = merged(
    texts.OPERATORS,
    documents.OPERATORS,
    arrays.OPERATORS,
    moments.OPERATORS,
    builtin_numbers.OPERATORS,
    search.OPERATORS,
    ranges.OPERATORS,
    money.OPERATORS,
)
_PREFIXES: Table = merged(builtin_numbers.PREFIXES, search.PREFIXES)
# Besides arrays, what is joined to more of its kind.
_JOINED = ("jsonb", "tsvector", "tsquery", "bytea")
COMPARISONS = {"=": "=", "<>": "<>", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_NUMERIC = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "%": "remainder"}


def missing(name: str, left: Expr | None, right: Expr) -> DatabaseError:
    """Return the error for an operator that these types do not have."""
    subject = f"{left.type or 'unknown'} {name} {right.type or 'unknown'}" if left else f"{name} {right.type}"
    return DatabaseError(
        f"operator does not exist: {subject}",
        sqlstate="42883",
        hint="No operator matches the given name and argument types. You might need to add explicit type casts.",
    )


def binary(name: str, left: Expr, right: Expr) -> Expr:
    """Emit ``left name right``."""
    if name in COMPARISONS:
        return compare(COMPARISONS[name], left, right)
    left, right = (types.cast(side, "text") if side.type == "character" else side for side in (left, right))
    emit, signatures = _BINARY.get(name), _OPERATORS.get(name, ())
    if emit is None and not signatures:
        raise refused(f"the operator {name}")
    if emit is not None and (not signatures or {left.type, right.type} <= _PLAIN):
        return emit(name, left, right)
    if name == "||" and _is_text_beside(left, right):
        return _concatenate(name, left, right)
    if name in texts.PATTERNS and right.literal is not None:
        # A pattern that cannot run is refused before there is a row to match it with.
        patterns.compiled(right.literal)
    found = apply("?column?", signatures, [left, right])
    if found is not None:
        return found
    if emit is None:
        raise missing(name, left, right)
    return emit(name, left, right)


def prefix(name: str, right: Expr) -> Expr:
    """Emit ``name right``: a sign, or another operator on one number."""
    if name in _PREFIXES:
        found = apply("?column?", _PREFIXES[name], [right])
        if found is None:
            raise missing(name, None, right)
        return found
    if right.type is None and not right.is_null:
        right = types.coerce(right, "double precision")
    if right.type == "interval" and name == "-":
        return Expr(f"pg_interval_negate({right.sql})", "interval")
    if right.type not in NUMBERS or name not in "+-":
        raise missing(name, None, right)
    if name == "+":
        return right
    if right.literal is not None:
        literal = right.literal[1:] if right.literal.startswith("-") else "-" + right.literal
        return number(literal)
    if right.type == "numeric":
        return Expr(f"pg_numeric_subtract('0', {right.sql})", "numeric")
    return _checked(f"-({right.sql})", right.type)


def number(literal: str) -> Expr:
    """Emit a number as written, with the type PostgreSQL gives it: integer, bigint or numeric."""
    if literal.lstrip("-").isdigit():
        value = int(literal)
        for name in ("integer", "bigint"):
            low, high = numbers.RANGES[name]
            if low <= value <= high:
                return Expr(f"({value})" if value < 0 else str(value), name, literal=literal)
    text = numbers.read_numeric(literal)
    return Expr(f"'{text}'", "numeric", literal=literal)


def matched(name: str, left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """Return both sides of a comparison in one type; raises 42883."""
    if "regtype" in (left.type, right.type) and None in (left.type, right.type):
        # Types are compared by their numbers, and so a literal beside one is read as a number.
        given = (left if left.type is None else right).literal
        raise DatabaseError(f'invalid input syntax for type oid: "{given}"', sqlstate="22P02")
    try:
        target = types.common([left, right], name)
        if target == "real" and None not in (left.type, right.type) and left.type != right.type:
            target = "double precision"  # there is no operator of real and another number
        return types.coerce(left, target), types.coerce(right, target)
    except DatabaseError as error:
        if error.sqlstate == "42804":
            raise missing(name, left, right) from None
        raise


def compare(name: str, left: Expr, right: Expr) -> Expr:
    """Emit a comparison of two values."""
    left, right = matched(name, left, right)
    if name in ("=", "<>"):
        return Expr(f"({types.collated(left)} {name} {right.sql})", "boolean")
    return Expr(f"({types.ordered(left, name)} {name} {right.sql})", "boolean")


def distinct(left: Expr, right: Expr, *, negated: bool) -> Expr:
    """Emit ``is [not] distinct from``."""
    left, right = matched("=", left, right)
    word = "IS" if negated else "IS NOT"
    return Expr(f"({types.collated(left)} {word} {right.sql})", "boolean")


def nullif(given: Expr, other: Expr) -> Expr:
    """Emit ``nullif(given, other)``."""
    left, right = matched("=", given, other)
    if given.type == "real" != left.type:  # which is compared as it is, and stays what it is
        return Expr(
            f"CASE WHEN {left.sql} = {right.sql} THEN NULL ELSE {given.sql} END", "real", name="nullif"
        )
    return Expr(f"nullif({types.collated(left)}, {right.sql})", left.type, name="nullif")


def like(left: Expr, pattern: Expr, *, negated: bool, ignoring_case: bool) -> Expr:
    """Emit LIKE or ILIKE, with the backslash as escape."""
    left, pattern = types.settle(left), types.settle(pattern)
    if left.type not in TEXTS or pattern.type not in TEXTS:
        raise missing("~~*" if ignoring_case else "~~", left, pattern)
    if ignoring_case:
        sql = _ilike(left.sql, pattern.sql)
    else:
        sql = f"({left.sql} LIKE {pattern.sql} ESCAPE '\\')"
    return Expr(f"(NOT {sql})" if negated else f"({sql})" if ignoring_case else sql, "boolean")


def _ilike(left: str, pattern: str) -> str:
    if not pattern.startswith((":", "'", "{")):
        return f"pg_ilike({pattern}, {left})"
    # The function in Python is slow, and keeps other threads waiting: only patterns beyond ASCII need it.
    return (
        f"CASE WHEN octet_length({pattern}) = length({pattern}) AND substr({pattern}, -1) <> '\\'"
        f" THEN lower({left}) LIKE lower({pattern}) ESCAPE '\\' ELSE pg_ilike({pattern}, {left}) END"
    )


def _arithmetic(name: str, left: Expr, right: Expr) -> Expr:
    if left.type is None and right.type is None:
        raise DatabaseError(f"operator is not unique: unknown {name} unknown", sqlstate="42725")
    if (left.type or right.type) not in NUMBERS or (right.type or left.type) not in NUMBERS:
        raise missing(name, left, right)
    left, right = matched(name, left, right)
    result = left.type or right.type or "integer"
    if result == "numeric":
        return Expr(f"pg_numeric_{_NUMERIC[name]}({left.sql}, {right.sql})", "numeric")
    if name in ("/", "%"):
        return _division(name, left, right, result)
    return _checked(f"({left.sql} {name} {right.sql})", result)


def _power(name: str, left: Expr, right: Expr) -> Expr:
    if "numeric" in (left.type, right.type):
        raise refused("the operator ^ on numeric", hint="Cast to double precision.")
    left, right = types.coerce(left, "double precision"), types.coerce(right, "double precision")
    return _checked(f"power({left.sql}, {right.sql})", "double precision")


def _division(name: str, left: Expr, right: Expr, result: str) -> Expr:
    if result not in INTEGERS and name == "%":
        raise missing(name, left, right)
    if right.literal is not None and float(right.literal) not in (0, -1):
        return Expr(f"({left.sql} {name} {right.sql})", result)
    function = "pg_quotient" if name == "/" else "pg_modulo"
    return _checked(f"{function}({left.sql}, {right.sql})", result)


def _checked(sql: str, result: str) -> Expr:
    """Have an arithmetic result checked against its type's range: SQLite would slip into floating point."""
    return Expr(form_of(result).read.replace("{}", sql), result)


def _is_text_beside(left: Expr, right: Expr) -> bool:
    """Tell whether one side is unknown and the other joined to nothing but text."""
    if None not in (left.type, right.type):
        return False
    known = left.type or right.type or "text"
    return element_of(known) is None and known not in _JOINED


def _concatenate(name: str, left: Expr, right: Expr) -> Expr:
    if left.type is not None and right.type is not None and not {left.type, right.type} & set(TEXTS):
        raise missing(name, left, right)
    left, right = types.cast(types.settle(left), "text"), types.cast(types.settle(right), "text")
    return Expr(f"({left.sql} || {right.sql})", "text")


def _member(name: str, left: Expr, right: Expr) -> Expr:
    if left.type not in ("json", "jsonb"):
        raise missing(name, left, right)
    if right.type in ("smallint", "integer"):
        path = right.sql
    else:
        path = f"pg_json_path({types.coerce(right, 'text').sql})"
    member = f"({left.sql} -> {path})"
    if left.type == "jsonb" and right.literal in ("0", "-1"):
        # PostgreSQL keeps a scalar as an array of one element, and this shows here.
        member = f"coalesce({member}, iif(json_type({left.sql}) IN ('array', 'object'), NULL, {left.sql}))"
    if name == "->":
        return Expr(member, left.type)
    return Expr(f"{'pg_jsonb_member' if left.type == 'jsonb' else 'pg_json_text'}({member})", "text")


_BINARY: dict[str, Callable[[str, Expr, Expr], Expr]] = {
    "+": _arithmetic,
    "-": _arithmetic,
    "*": _arithmetic,
    "/": _arithmetic,
    "%": _arithmetic,
    "||": _concatenate,
    "^": _power,
    "->": _member,
    "->>": _member,
    "~~": lambda _, left, right: like(left, right, negated=False, ignoring_case=False),
    "!~~": lambda _, left, right: like(left, right, negated=True, ignoring_case=False),
    "~~*": lambda _, left, right: like(left, right, negated=False, ignoring_case=True),
    "!~~*": lambda _, left, right: like(left, right, negated=True, ignoring_case=True),
}

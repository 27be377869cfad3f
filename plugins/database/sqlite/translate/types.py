"""Types in statements: their names, which of two wins, and how a value of one becomes another."""

from __future__ import annotations

import re

from kernel.contracts.catalogue import Catalogue
from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.catalogue.definitions import VALUE
from plugins.database.sqlite.catalogue.kinds import DomainType, EnumArray, EnumType, RowType, resolve
from plugins.database.sqlite.names import text_literal
from plugins.database.sqlite.stored import FORMS, base_type, element_of, fit, form_of, split_type
from plugins.database.sqlite.stored import MOMENTS as MOMENTS_KEPT
from plugins.database.sqlite.translate.nodes import Node, kind_of, only, refused, strings
from plugins.database.sqlite.translate.scope import Expr
from plugins.database.sqlite.values.readers import reader_of

INTEGERS = ("smallint", "integer", "bigint")
NUMBERS = (*INTEGERS, "numeric", "real", "double precision")
INEXACT = ("numeric", "real", "double precision")
TEXTS = ("text", "character varying", "name")
MOMENTS = ("date", "timestamp without time zone", "timestamp with time zone")
CLOCKS = ("time without time zone", "time with time zone")
SERIALS = {"serial": "integer", "serial4": "integer", "bigserial": "bigint", "serial8": "bigint",
           "smallserial": "smallint", "serial2": "smallint"}  # fmt: skip
_PLAIN = re.compile(r"""[:\w".]+|-?[\d.]+|'(?:[^']|'')*'""")

# Casts between stored forms, where they are more than reading the text again: (from, to) -> template.
_CASTS = {
    ("date", "timestamp without time zone"): "({} || 'T00:00:00')",
    ("date", "timestamp with time zone"): "({} || 'T00:00:00+00:00')",
    ("timestamp without time zone", "timestamp with time zone"): "({} || '+00:00')",
    ("timestamp without time zone", "date"): "substr({}, 1, 10)",
    ("timestamp without time zone", "time without time zone"): "substr({}, 12)",
    ("timestamp with time zone", "date"): "substr({}, 1, 10)",
    ("timestamp with time zone", "timestamp without time zone"): "replace({}, '+00:00', '')",
    ("timestamp with time zone", "time without time zone"): "replace(substr({}, 12), '+00:00', '')",
    ("timestamp with time zone", "time with time zone"): (
        "nullif(replace(substr({}, 12), '+00:00', '+00'), '')"
    ),
    ("time with time zone", "time without time zone"): "pg_timetz_clock({})",
    ("time without time zone", "time with time zone"): "({} || '+00')",
    ("time without time zone", "interval"): "pg_time_interval({})",
    ("interval", "time without time zone"): "pg_time_add('00:00:00', {}, 1)",
    ("json", "jsonb"): "pg_jsonb({})",
    ("jsonb", "json"): "pg_jsonb_text({})",
    ("real", "double precision"): "pg_widened({})",
    ("integer", "boolean"): "({} <> 0)",
    ("boolean", "integer"): "{}",
    ("integer", "money"): "pg_money_of({}, 'bigint')",
    ("bigint", "money"): "pg_money_of({}, 'bigint')",
    ("numeric", "money"): "pg_money_of({}, 'bigint')",
    ("money", "numeric"): "pg_money_number({})",
}
_ASSIGNABLE = {
    ("timestamp with time zone", "date"),
    ("timestamp with time zone", "timestamp without time zone"),
    ("timestamp with time zone", "time without time zone"),
    ("timestamp without time zone", "date"),
    ("timestamp without time zone", "time without time zone"),
    ("timestamp with time zone", "time with time zone"),
    ("time with time zone", "time without time zone"),
    ("integer", "money"),
    ("bigint", "money"),
    ("numeric", "money"),
    ("money", "numeric"),
    ("json", "jsonb"),
    ("jsonb", "json"),
}


def type_name(node: Node, catalogue: Catalogue) -> str:
    """Return the declared name of a TypeName, with its modifier; raises 0A000 for a type that is refused."""
    only(node, "a type", "names", "typemod", "typmods", "arrayBounds")
    names = [name for name in strings(node["names"]) if name != "pg_catalog"]
    name = ".".join(names)
    bounds = node.get("arrayBounds", ())
    if len(bounds) > 1:
        raise refused("an array of several dimensions")
    many = "[]" if bounds else ""
    made = resolve(name + many, catalogue) if base_type(name) not in FORMS else name
    if isinstance(made, (EnumType, EnumArray, DomainType)):
        return made
    if many and resolve(name, catalogue) is not name:
        raise refused("an array of a domain")
    base = base_type(name)
    if many or base not in SERIALS:
        form_of(name + many)
    modifiers = [_modifier(item) for item in node.get("typmods", ())]
    if base == "interval" and modifiers:
        raise refused("interval with fields or a precision")
    if not modifiers:
        if base == "character":
            raise refused("bpchar without a length")
        return base + many
    if base in MOMENTS_KEPT and len(modifiers) == 1:
        word, rest = base.split(" ", 1)
        return f"{word}({min(modifiers[0], 6)}) {rest}{many}"
    if base not in ("character varying", "character", "numeric"):
        raise refused(f"type {base}({', '.join(map(str, modifiers))})")
    if base == "numeric" and len(modifiers) == 1:
        modifiers.append(0)
    return f"{base}({','.join(map(str, modifiers))}){many}"


def _modifier(node: Node) -> int:
    kind, fields = kind_of(node)
    if kind != "A_Const" or "ival" not in fields:
        raise refused("a type modifier that is not a number")
    return int(fields["ival"].get("ival", 0))


def constant(value: object) -> str:
    """Return a stored value as SQL."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    if isinstance(value, (int, float)):
        return repr(value)
    return text_literal(str(value))


def coerce(expr: Expr, target: str, *, assign: bool = False) -> Expr:
    """Return `expr` as a value of the base type `target`, as PostgreSQL converts without being asked.

    With `assign` the conversions that a value undergoes on its way into a column are allowed too; raises 42804
    where there is none.
    """
    base = base_type(target)
    if expr.type == base:
        return expr
    if expr.type is None or (expr.literal is not None and base in INEXACT and expr.type in NUMBERS):
        return _from_unknown(expr, base)
    if expr.type in TEXTS and base in TEXTS:
        return expr._replace(type=base)
    if (expr.type in TEXTS and base == "character" and assign) or (
        expr.type == "character" and base in TEXTS
    ):
        return cast(expr, base)
    if _converts(expr.type, base) or (assign and _assigns(expr.type, base)):
        return cast(expr, base)
    raise DatabaseError(
        f"an expression of type {expr.type} does not go where {base} is expected",
        sqlstate="42804",
        hint="You will need to rewrite or cast the expression.",
    )


def converts(source: str, base: str) -> bool:
    """Tell whether a value of one type becomes one of another without being asked to."""
    return source == base or (source in TEXTS and base in TEXTS) or _converts(source, base)


def _converts(source: str, base: str) -> bool:
    """Tell whether PostgreSQL widens `source` to `base` by itself."""
    one, other = element_of(source), element_of(base)
    if one and other:
        return (one in TEXTS and other in TEXTS) or _converts(one, other)
    return any(
        source in family and base in family and family.index(source) < family.index(base)
        for family in (NUMBERS, MOMENTS, CLOCKS)
    )


def _assigns(source: str, base: str) -> bool:
    """Tell whether a value of `source` goes into a column of `base` without a cast."""
    one, other = element_of(source), element_of(base)
    if one and other:
        return _assigns(one, other) and other not in TEXTS
    return (
        (source in NUMBERS and base in NUMBERS)
        or base in (*TEXTS, "character")
        or (source, base) in _ASSIGNABLE
    )


def _from_unknown(expr: Expr, base: str) -> Expr:
    form = form_of(base)
    if expr.literal is not None:
        reader = reader_of(base)
        if reader is None:
            return Expr(text_literal(expr.literal), base, name=expr.name)
        return Expr(constant(reader(expr.literal)), base, name=expr.name)
    if expr.is_null:
        return expr._replace(type=base)
    return Expr(form.read.replace("{}", expr.sql), base, name=expr.name)


def settle(expr: Expr) -> Expr:
    """Return `expr` with a known type: what is still unknown is text."""
    return expr if expr.type is not None else coerce(expr, "text")


def cast(expr: Expr, target: str) -> Expr:
    """Return ``expr::target``; `target` may carry a modifier."""
    if isinstance(target, DomainType):
        return admitted(cast(expr, target.below)._replace(literal=None), target)
    base, modifiers = split_type(target)
    result = _cast_base(expr, base)
    if not modifiers:
        return result
    if base == "character varying[]":
        return result._replace(sql=f"pg_array_cut({result.sql}, {modifiers[0]})", modified=target)
    if base == "character":
        cut = f"pg_char(substr({result.sql}, 1, {modifiers[0]}), {modifiers[0]})"
        return result._replace(sql=cut, modified=target)
    if base == "character varying":
        return result._replace(sql=f"substr({result.sql}, 1, {modifiers[0]})", modified=target)
    return result._replace(sql=fit(target, result.sql), modified=target)


def admitted(expr: Expr, target: str) -> Expr:
    """Return a value on its way into a type: one that a domain does not allow raises when it gets there."""
    if not isinstance(target, DomainType):
        return expr
    if target.nullable and not target.tests:
        return expr._replace(modified=target)
    plain = _PLAIN.fullmatch(expr.sql) is not None
    value = expr.sql if plain else "v"
    tests = "".join(f", {sql.replace(VALUE, value)}, {text_literal(name)}" for name, sql in target.tests)
    sql = f"pg_domain({value}, {text_literal(target)}, {int(target.nullable)}{tests})"
    if not plain:  # once, whatever it does
        sql = f"(WITH q(v) AS MATERIALIZED (SELECT {expr.sql}) SELECT {sql} FROM q)"
    return expr._replace(sql=sql, modified=target)


def _cast_base(expr: Expr, base: str) -> Expr:
    source = expr.type
    if source == base:
        return expr
    if source is None:
        return _from_unknown(expr, base)
    if base in TEXTS or base == "character":
        return Expr(form_of(source).text.replace("{}", expr.sql), base, name=expr.name)
    if element_of(source) and element_of(base):
        return Expr(form_of(base).read.replace("{}", expr.sql), base, name=expr.name)
    template = _CASTS.get((source, base))
    if template is None:
        template = _number_cast(source, base)
    if template is None and source in TEXTS:
        template = form_of(base).read
    if template is None:
        raise DatabaseError(f"cannot cast type {source} to {base}", sqlstate="42846")
    return Expr(template.replace("{}", expr.sql), base, name=expr.name)


def _number_cast(source: str, base: str) -> str | None:
    if source not in NUMBERS or base not in NUMBERS:
        return None
    if source == "numeric" and base in INTEGERS:
        return f"pg_numeric_int({{}}, '{base}')"
    if source in INTEGERS and base == "bigint":
        return "{}"
    return form_of(base).read


def common(expressions: list[Expr], what: str) -> str:
    """Return the type that all of `expressions` take in a CASE, a UNION or an IN list; raises 42804."""
    known = [expr.type for expr in expressions if expr.type is not None]
    if not known:
        return "text"
    result = known[0]
    for other in known[1:]:
        result = _wider(result, other, what)
    return result


def _wider(one: str, other: str, what: str) -> str:
    if one == other:
        return one
    for family in (NUMBERS, MOMENTS, CLOCKS):
        if one in family and other in family:
            return max(one, other, key=family.index)
    if one in (*TEXTS, "character") and other in (*TEXTS, "character"):
        return "text"
    held, theirs = element_of(one), element_of(other)
    if held in TEXTS and theirs in TEXTS:
        return "text[]"
    raise DatabaseError(f"{what} types {one} and {other} cannot be matched", sqlstate="42804")


def ordered(expr: Expr, feature: str) -> str:
    """Return `expr` for a comparison by order: its collation made plain; raises 42883 where there is no order."""
    if expr.type is not None:
        form = form_of(expr.type)
        if not form.ordered:
            raise refused(f"{feature} on type {expr.type}")
    return collated(expr)


def collated(expr: Expr) -> str:
    """Return `expr` with the collation that its type's equality needs."""
    if isinstance(expr.type, RowType):
        raise refused("a comparison of whole rows")
    if expr.type is not None:
        form = form_of(expr.type)
        if not form.comparable:
            raise DatabaseError(
                f"could not identify an equality operator for type {expr.type}", sqlstate="42883"
            )
        if form.collation is not None:
            return f"{expr.sql} COLLATE {form.collation}"
    return expr.sql

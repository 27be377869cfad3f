"""How SQLite keeps PostgreSQL's types: one entry per type, in STRICT columns of TEXT, INTEGER, REAL or BLOB."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

import msgspec

from kernel.contracts.database import DatabaseError
from kernel.contracts.stored import StoredType
from plugins.database.sqlite.catalogue.kinds import DomainType, EnumArray, EnumType, RowType
from plugins.database.sqlite.names import text_literal, without_mark

Affinity = Literal["TEXT", "INT", "REAL", "BLOB"]

# Names that PostgreSQL accepts, and the name it gives back.
_ALIASES = {
    "bool": "boolean",
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "float": "double precision",
    "decimal": "numeric",
    "varchar": "character varying",
    "bpchar": "character",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "timetz": "time with time zone",
    "time": "time without time zone",
}

_NAME = re.compile(r"([a-z_][a-z0-9_ ]*?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?(\[\])?")

_MOMENT = re.compile(r"(timestamp|time)\((\d)\) (with(?:out)? time zone)((?:\[\])?)")


class TypeForm(msgspec.Struct, frozen=True):
    """How one base type is kept: the column's affinity and the SQL functions that read and write it.

    `read` turns text (or a value of a type that casts to it) into the stored form; `json` and `text` are
    templates as in `StoredType`; `check` is a column's CHECK expression, `collation` its collating sequence.
    """

    affinity: Affinity
    read: str
    json: str = "{}"
    text: str = "{}"
    check: str | None = None
    collation: str | None = None
    ordered: bool = True
    comparable: bool = True


MOMENTS = (
    "timestamp with time zone",
    "timestamp without time zone",
    "time with time zone",
    "time without time zone",
)
"""Types whose modifier is the number of digits that a second's fraction has."""

RANGES = ("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange")
"""Types of ranges."""

# Equal ones are written alike, but their texts tell nothing of which comes first.
_WRITTEN_OUT_OF_ORDER = ("money", "time with time zone")

_TEXT_FORM = TypeForm("TEXT", "{}")

FORMS: dict[str, TypeForm] = {
    "boolean": TypeForm(
        "INT",
        "pg_bool({})",
        json="json(CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)",
        text="CASE {} WHEN 1 THEN 'true' WHEN 0 THEN 'false' END",
        check="{} IN (0, 1)",
    ),
    "smallint": TypeForm("INT", "pg_int2({})", text="CAST({} AS TEXT)", check="{} BETWEEN -32768 AND 32767"),
    "integer": TypeForm(
        "INT", "pg_int4({})", text="CAST({} AS TEXT)", check="{} BETWEEN -2147483648 AND 2147483647"
    ),
    "bigint": TypeForm("INT", "pg_int8({})", text="CAST({} AS TEXT)"),
    "real": TypeForm("REAL", "pg_float4({})", json="json(pg_real_text({}))", text="pg_real_text({})"),
    "double precision": TypeForm(
        "REAL", "pg_float8({})", json="json(pg_float_text({}))", text="pg_float_text({})"
    ),
    "numeric": TypeForm("TEXT", "pg_numeric({})", json="json({})", collation="pg_numeric"),
    "text": _TEXT_FORM,
    "character varying": _TEXT_FORM,
    "name": _TEXT_FORM,
    # Filled up with blanks, which count for nothing where it is compared or becomes text.
    "character": TypeForm("TEXT", "{}", text="rtrim({}, ' ')", collation="RTRIM"),
    "uuid": TypeForm("TEXT", "pg_uuid({})"),
    "date": TypeForm("TEXT", "pg_date({})"),
    "time without time zone": TypeForm("TEXT", "pg_time({})"),
    "time with time zone": TypeForm("TEXT", "pg_timetz({})", collation="pg_timetz"),
    "timestamp without time zone": TypeForm("TEXT", "pg_timestamp({})", text="replace({}, 'T', ' ')"),
    "timestamp with time zone": TypeForm(
        "TEXT", "pg_timestamptz({})", text="replace(replace({}, 'T', ' '), '+00:00', '+00')"
    ),
    "interval": TypeForm("TEXT", "pg_interval({})", collation="pg_interval"),
    "json": TypeForm("TEXT", "pg_json({})", json="json({})", ordered=False, comparable=False),
    "jsonb": TypeForm(
        "TEXT", "pg_jsonb({})", json="json({})", text="pg_jsonb_text({})", collation="pg_jsonb"
    ),
    "tsvector": TypeForm("TEXT", "pg_tsvector({})", ordered=False),
    "tsquery": TypeForm("TEXT", "pg_tsquery({})", ordered=False),
    "regtype": TypeForm("TEXT", "pg_regtype({})", ordered=False),
    "regconfig": TypeForm("TEXT", "pg_regconfig({})", ordered=False),
    **{kind: TypeForm("TEXT", f"pg_range('{kind}', {{}})", collation="pg_range") for kind in RANGES},
    "money": TypeForm("TEXT", "pg_money({})", collation="pg_money"),
    "bytea": TypeForm("BLOB", "pg_bytea({})", json="pg_bytea_text({})", text="pg_bytea_text({})"),
}

_REFUSED = frozenset({
    "datemultirange", "int4multirange", "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange",
    "bit", "bit varying", "box", "char", "cidr", "circle", "inet",
    "line", "lseg", "macaddr", "macaddr8", "oid", "path", "pg_lsn", "point",
    "polygon", "record", "regclass", "trigger",
    "varbit", "void", "xml",
})  # fmt: skip
"""Types of PostgreSQL's that have no form here."""


def split_type(name: str) -> tuple[str, tuple[int, ...]]:
    """Return a type's base name and modifiers: ``numeric(10,2)[]`` is ``("numeric[]", (10, 2))``."""
    if isinstance(name, (EnumType, EnumArray, RowType)):
        return name, ()
    if isinstance(name, DomainType):
        return split_type(name.base)[0], ()
    moment = _MOMENT.fullmatch(name)
    if moment is not None:
        return f"{moment[1]} {moment[3]}{moment[4]}", (int(moment[2]),)
    match = _NAME.fullmatch(name.strip().lower())
    if match is None:
        return name, ()
    base = _ALIASES.get(match[1], match[1]) + (match[4] or "")
    return base, tuple(int(part) for part in match.groups()[1:3] if part is not None)


def base_type(name: str) -> str:
    """Return a type's name without its modifier."""
    return split_type(name)[0]


def plain_type(name: str) -> str:
    """Return a type's name without its modifier, that of a domain as it is."""
    return name if isinstance(name, DomainType) else base_type(name)


def array_of(element: str) -> str:
    """Return the name of the type of arrays of a base type."""
    if isinstance(element, RowType):
        raise DatabaseError("an array of rows is not supported on SQLite", sqlstate="0A000")
    return EnumArray.of(element) if isinstance(element, EnumType) else f"{element}[]"


def element_of(name: str) -> str | None:
    """Return the base type that an array type holds, None for a type that is no array."""
    if isinstance(name, EnumArray):
        return name.element
    return name[:-2] if name.endswith("[]") else None


def form_of(name: str) -> TypeForm:
    """Return how a type is kept; raises `DatabaseError` (0A000) for one that is refused."""
    base = base_type(name)
    element = element_of(base)
    if isinstance(base, RowType):
        return _row_form(base)
    if isinstance(base, EnumType):
        return TypeForm("TEXT", f"pg_enum({{}}, {_enum_arguments(base)})", collation=base.collation)
    form = FORMS.get(base) if element is None else _array_form(element)
    if form is None:
        hint = "Supported types: " + ", ".join(FORMS) + "."
        if (element or base) in FORMS or (element or base) in _REFUSED:
            raise DatabaseError(f"type {name} is not supported on SQLite", sqlstate="0A000", hint=hint)
        raise DatabaseError(f'type "{name}" does not exist', sqlstate="42704", hint=hint)
    return form


def _array_form(element: str) -> TypeForm | None:
    """Return how arrays are kept: as JSON's array of what their elements are in JSON, in one normal form."""
    if isinstance(element, EnumType):
        # Its order is by the labels' texts, which tells nothing of their places.
        reader = f"pg_enum_array({{}}, {_enum_arguments(element)})"
        text = "pg_array_text({}, 'text')"
        return TypeForm("TEXT", reader, json="json({})", text=text, collation="pg_array", ordered=False)
    held = FORMS.get(element)
    # Elements are compared as they are written, which tells nothing of an interval's length or a range's ends.
    if held is None or not held.comparable or element in ("interval", "character", *RANGES):
        return None
    return TypeForm(
        "TEXT",
        f"pg_array({{}}, '{element}')",
        json="json({})",
        text=f"pg_array_text({{}}, '{element}')",
        collation="pg_array",
        ordered=held.ordered and element not in _WRITTEN_OUT_OF_ORDER,
    )


def _row_form(name: RowType) -> TypeForm:
    """Return how whole rows are kept on their way through a statement: as PostgreSQL writes them."""
    fields = [(column, kind, field_of("r", place, kind)) for place, (column, kind) in enumerate(name.columns)]
    found = f"iif(r IS NULL, NULL, {row_json(fields)})"
    json = f"json((WITH q(r) AS MATERIALIZED (SELECT {{}}) SELECT {found} FROM q))"  # noqa: S608 - names are quoted
    return TypeForm("TEXT", "{}", json=json, ordered=False, comparable=False)


def row_json(fields: Iterable[tuple[str, str, str]]) -> str:
    """Return the SQL of an object in JSON, given the names, types and SQL of a row's values."""
    members = (
        f"{text_literal(without_mark(name))}, {form_of(kind).json.replace('{}', value)}"
        for name, kind, value in fields
    )
    return f"json_object({', '.join(members)})"


def field_of(row: str, place: int, kind: str) -> str:
    """Return the SQL of one value of a row, given the row's own."""
    return form_of(kind).read.replace("{}", f"pg_row_field({row}, {place})")


def output(name: str, value: str) -> str:
    """Return the SQL of a value as PostgreSQL writes it out, which is not always as it casts it to text."""
    base = base_type(name)
    if base == "character":
        return value
    text = form_of(base).text.replace("{}", value)
    return f"substr({text}, 1, 1)" if base == "boolean" else text


def read_type(name: str | None) -> str | None:
    """Read ``regtype``: a type by the name that PostgreSQL gives it."""
    if name is None:
        return None
    base = base_type(name)
    if (element_of(base) or base) in FORMS or base == "unknown":
        return base
    raise DatabaseError(f'the type "{name}" as a value is not supported on SQLite', sqlstate="0A000")


def _enum_arguments(name: EnumType) -> str:
    labels = msgspec.json.encode(name.labels).decode()
    return f"{text_literal(name)}, {text_literal(labels)}"


def fit(name: str, value: str) -> str:
    """Return engine SQL that applies a type's modifier to a stored value of its base type."""
    if isinstance(name, DomainType):
        return fit(name.base, value)
    base, modifiers = split_type(name)
    element = element_of(base)
    if element is not None and modifiers:
        return f"pg_array_fit({value}, '{element}', {', '.join(map(str, modifiers))})"
    if base == "character varying" and modifiers:
        return f"pg_varchar({value}, {modifiers[0]})"
    if base == "character" and modifiers:
        return f"pg_char({value}, {modifiers[0]})"
    if base in MOMENTS and modifiers:
        return f"pg_moment_fit({value}, {modifiers[0]})"
    if base == "numeric" and modifiers:
        scale = modifiers[1] if len(modifiers) > 1 else 0
        return f"pg_numeric_fit({value}, {modifiers[0]}, {scale})"
    return value


def describe(name: str) -> StoredType:
    """Return the contract's description of a declared type; raises as `form_of` does."""
    form = form_of(name)
    base = base_type(name)
    # A document and an array take the member's JSON as it is.
    as_it_is = base in ("json", "jsonb") or element_of(base) is not None
    member = "nullif({}, 'null')" if as_it_is else "pg_json_text({})"
    return StoredType(
        type=name,
        to_json=form.json,
        to_text=form.text,
        from_text=form.read,
        assign_text=fit(name, form.read),
        assign_json=fit(name, form.read.replace("{}", member)),
        compared="{}" if form.collation is None else f'{{}} COLLATE "{form.collation}"',
        ordered=form.ordered,
        comparable=form.comparable,
    )

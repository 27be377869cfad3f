"""Readers: from a text, or another type's stored form, to a type's own."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import msgspec

from plugins.database.postgresql.literals import malformed
from plugins.database.sqlite.catalogue.kinds import EnumArray, EnumType
from plugins.database.sqlite.stored import read_type
from plugins.database.sqlite.values import enums, money, ranges
from plugins.database.sqlite.values.nested import arrays, documents
from plugins.database.sqlite.values.numeric import numbers
from plugins.database.sqlite.values.search import documents as search_documents
from plugins.database.sqlite.values.search import queries as search_queries
from plugins.database.sqlite.values.temporal import intervals, moments
from plugins.database.sqlite.values.textual import texts

Reader = Callable[[Any], Any]

READERS: dict[str, Reader] = {
    "boolean": numbers.read_boolean,
    "smallint": numbers.integer_reader("smallint"),
    "integer": numbers.integer_reader("integer"),
    "bigint": numbers.integer_reader("bigint"),
    "real": numbers.read_real,
    "double precision": numbers.read_double,
    "numeric": numbers.read_numeric,
    "uuid": texts.read_uuid,
    "date": moments.read_date,
    "time without time zone": moments.read_time,
    "time with time zone": moments.read_timetz,
    "timestamp without time zone": moments.read_timestamp,
    "timestamp with time zone": moments.read_timestamptz,
    "interval": intervals.read,
    **{kind: functools.partial(ranges.read, kind) for kind in ranges.SUBTYPES},
    "json": documents.read_json,
    "jsonb": documents.read_jsonb,
    "money": money.read,
    "bytea": texts.read_bytea,
    "tsvector": search_documents.read,
    "tsquery": search_queries.read,
    "regtype": read_type,
    "regconfig": search_documents.configuration,
}


def reader_of(base: str) -> Reader | None:
    """Return what reads a base type, None for text, which is read as it is."""
    if isinstance(base, EnumType):
        return functools.partial(enums.read, name=base, labels=_written(base))
    if isinstance(base, EnumArray):
        return functools.partial(enums.read_array, name=base.element, labels=_written(base.element))
    if base.endswith("[]"):
        return functools.partial(_read_array_literal, element=base[:-2])
    return READERS.get(base)


def _written(name: EnumType) -> str:
    return msgspec.json.encode(name.labels).decode()


def read_array(value: Any, element: str) -> str | None:
    """Read an array in PostgreSQL's form (``{a,b}``) or JSON's; an element may be of another type."""
    return arrays.read(value, element, READERS.get(element))


def _read_array_literal(value: Any, element: str) -> str | None:
    if isinstance(value, str) and value.lstrip()[:1] == "[" and "=" not in value:
        raise malformed(value, "Missing array dimensions.")
    return read_array(value, element)


def cut_array(value: str | None, length: int) -> str | None:
    """Cut each text of a stored array off at a length."""
    if value is None:
        return None
    return arrays.write([None if item is None else item[:length] for item in arrays.items(value)], "text")


def fit_array(value: str | None, element: str, *modifiers: int) -> str | None:
    """Apply an element type's modifier to each element of a stored array."""
    if value is None:
        return None

    def fitted(item: Any) -> Any:
        if element == "numeric":
            return numbers.fit_numeric(item, modifiers[0], modifiers[1] if len(modifiers) > 1 else 0)
        if element != "character varying":
            return moments.fit(item, modifiers[0])
        return texts.fit_varchar(item, modifiers[0])

    return arrays.write([None if item is None else fitted(item) for item in arrays.items(value)], element)

"""Two catalogues compared, down to the column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kernel.contracts.catalogue import Catalogue, Table

_OWN_SCHEMA = "kernel"


class Difference(msgspec.Struct, frozen=True):
    """One thing that is not as it should be; `table` is ``schema.name``, `column` set where it is about one."""

    table: str | None
    column: str | None
    what: str

    def __str__(self) -> str:
        place = f"{self.table}, column {self.column}" if self.column is not None else self.table
        return f"{place}: {self.what}" if place is not None else self.what


def differences(expected: Catalogue, found: Catalogue) -> list[Difference]:
    """Return how `found` differs from `expected`, apart from the kernel's own schema, the version and the roles.

    Roles belong to PostgreSQL's whole server: others make and drop them meanwhile.
    """
    return [*_tables(expected, found), *_rest(_without_own(expected), _without_own(found))]


def _without_own(catalogue: Catalogue) -> Catalogue:
    usage = {schema: roles for schema, roles in catalogue.usage.items() if schema != _OWN_SCHEMA}
    return msgspec.structs.replace(catalogue, schemas=catalogue.schemas - {_OWN_SCHEMA}, usage=usage)


def _tables(expected: Catalogue, found: Catalogue) -> Iterator[Difference]:
    for key in sorted({*expected.tables, *found.tables}):
        if key[0] == _OWN_SCHEMA:
            continue
        before, after = expected.tables.get(key), found.tables.get(key)
        name = ".".join(key)
        if before is None or after is None:
            yield Difference(name, None, "is missing" if after is None else "is there, but should not be")
        else:
            yield from _table(name, before, after)


def _table(name: str, expected: Table, found: Table) -> Iterator[Difference]:
    for column in (*expected.columns, *(found.columns.keys() - expected.columns.keys())):
        before, after = expected.columns.get(column), found.columns.get(column)
        if before is None or after is None:
            yield Difference(name, column, "is missing" if after is None else "is there, but should not be")
        else:
            yield from (Difference(name, column, text) for text in _fields(before, after))
    if expected.columns.keys() == found.columns.keys() and [*expected.columns] != [*found.columns]:
        yield Difference(name, None, f"its columns should be in the order {', '.join(expected.columns)}")
    yield from (Difference(name, None, text) for text in _fields(expected, found, "columns"))


def _rest(expected: Catalogue, found: Catalogue) -> Iterator[Difference]:
    yield from (
        Difference(None, None, text) for text in _fields(expected, found, "version", "tables", "roles")
    )


def _fields(expected: msgspec.Struct, found: msgspec.Struct, *apart: str) -> Iterator[str]:
    """Say which fields of two structs differ: members of collections one by one."""
    for field in expected.__struct_fields__:
        before, after = getattr(expected, field), getattr(found, field)
        if field in apart or before == after:
            continue
        label = field.replace("_", " ")
        one, other = _members(before), _members(after)
        if one is None or other is None:
            yield f"{label} should be {_told(before)}, not {_told(after)}"
            continue
        for key in sorted({*one, *other}):
            if key not in other:
                yield f"{label}: {key} is missing"
            elif key not in one:
                yield f"{label}: {key} is there, but should not be"
            elif one[key] != other[key]:
                yield f"{label}: {key} should be {_told(one[key])}, not {_told(other[key])}"


def _members(value: Any) -> dict[str, Any] | None:
    """Return what a collection holds by name; None for what is to be shown whole."""
    if isinstance(value, Mapping):
        return {_label(key): member for key, member in value.items()}
    if isinstance(value, frozenset):
        return {_label(member): True for member in value}
    if isinstance(value, tuple) and value and all(isinstance(member, msgspec.Struct) for member in value):
        return {_name(member): member for member in value}
    return {} if value == () else None


def _name(member: msgspec.Struct) -> str:
    name = getattr(member, "name", None)
    return str(name) if name is not None else _told(member)


def _label(key: Any) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _told(value: Any) -> str:
    """Say a value in a few words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, msgspec.Struct):
        told = (
            f"{field} {_told(getattr(value, field))}" for field in value.__struct_fields__ if field != "name"
        )
        return f"({', '.join(told)})"
    if isinstance(value, tuple | frozenset):
        return f"({', '.join(map(_told, value))})"
    return str(value)

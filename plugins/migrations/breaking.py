"""What breaks those who use the API: what they read or write and can no longer."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from kernel.contracts.catalogue import PUBLIC, Catalogue, Column, Table
from plugins.migrations.differences import Difference

_WIDER = {
    "smallint": ("integer", "bigint", "numeric"),
    "integer": ("bigint", "numeric"),
    "bigint": ("numeric",),
    "real": ("double precision",),
    "character varying": ("text",),
    "json": ("jsonb",),
}
_TYPE = re.compile(r"([^(]*)(?:\((\d+)(?:,(-?\d+))?\))?(.*)")


def breaking(before: Catalogue, after: Catalogue) -> list[Difference]:
    """Return what a client could do before and cannot after; a new name is a loss of the old one."""
    found = [*_tables(before, after)]
    for schema in sorted(before.usage.keys() & after.usage.keys()):
        found += [
            Difference(None, None, f"the role {role} may no longer use the schema {schema}")
            for role in sorted(before.usage[schema] - after.usage[schema])
        ]
    return found


def _tables(before: Catalogue, after: Catalogue) -> Iterator[Difference]:
    for key, table in sorted(before.tables.items(), key=lambda item: item[0]):
        if key[0] == "kernel":
            continue
        name = ".".join(key)
        now = after.tables.get(key)
        if now is None:
            yield Difference(name, None, f"the {table.kind} is gone, or has another name")
            continue
        yield from _columns(name, table, now)
        yield from (Difference(name, None, text) for text in _rights(table, now))


def _columns(name: str, before: Table, after: Table) -> Iterator[Difference]:
    for column in before.columns.values():
        now = after.columns.get(column.name)
        if now is None:
            yield Difference(name, column.name, "is gone, or has another name")
        else:
            yield from (Difference(name, column.name, text) for text in _column(column, now))
    for column in after.columns.values():
        if column.name not in before.columns and _must_be_given(column):
            yield Difference(name, column.name, "is new and has to be given: not null, and without a default")


def _column(before: Column, after: Column) -> Iterator[str]:
    if not is_wider(before.type, after.type):
        yield f"its type was {before.type} and is {after.type}, which does not hold all the same values"
    if before.nullable and not after.nullable:
        yield "takes null no longer"
    elif _must_be_given(after) and not _must_be_given(before):
        yield "has to be given now: its default is gone"
    if after.generated and not before.generated:
        yield "can no longer be written: it is generated"


def _must_be_given(column: Column) -> bool:
    return not (column.nullable or column.default is not None or column.generated or column.identity)


def _rights(before: Table, after: Table) -> Iterator[str]:
    for grant in before.grants:
        if not after.allows(frozenset({grant.role, PUBLIC}), grant.privilege, grant.column):
            column = f" its column {grant.column}" if grant.column is not None else ""
            yield f"the role {grant.role} may no longer {grant.privilege}{column}"
    if after.row_security and not before.row_security:
        yield "row security is on now: who does not bypass it sees and writes only what policies let through"
        return
    kept = {_rule(policy) for policy in after.policies}
    for policy in before.policies:
        if policy.permissive and after.row_security and _rule(policy) not in kept:
            yield f"the policy {policy.name} is gone or says something else"
    had = {_rule(policy) for policy in before.policies}
    for policy in after.policies:
        if not policy.permissive and before.row_security and _rule(policy) not in had:
            yield f"the policy {policy.name} restricts what others let through"


def _rule(policy: msgspec.Struct) -> tuple[object, ...]:
    """Return what a policy says, whatever it is called."""
    return tuple(getattr(policy, field) for field in policy.__struct_fields__ if field != "name")


def is_wider(before: str, after: str) -> bool:
    """Tell whether a type holds every value of another one: ``integer`` and ``bigint``, ``varchar(5)`` and ``text``."""
    if before == after:
        return True
    (base, length, scale, rest), (new, new_length, new_scale, new_rest) = _read(before), _read(after)
    if rest != new_rest:
        return False
    if base != new:
        return new in _WIDER.get(base, ()) and new_length is None
    if new_length is None:
        return True
    if length is None or base.startswith(("character", "bit")):
        return length is not None and length <= new_length and base != "character"
    return scale <= new_scale and length - scale <= new_length - new_scale


def _read(text: str) -> tuple[str, int | None, int, str]:
    """Return a type's name without its modifier, the modifier's two numbers, and the brackets of an array."""
    match = _TYPE.fullmatch(text)
    assert match is not None  # noqa: S101 - it matches every text that is not empty
    name = f"{match[1].strip()} {match[4].strip()}".strip()
    base = name.rstrip("[]").strip()
    return base, int(match[2]) if match[2] else None, int(match[3] or 0), name[len(base) :]

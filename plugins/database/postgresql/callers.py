"""Callers of statements: PostgreSQL itself applies the rights of the role that a statement runs as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from kernel.contracts.catalogue import Table
from kernel.contracts.database import DatabaseError
from kernel.identity import Identity
from plugins.database import rights
from plugins.database.postgresql.session import Caller


def caller_of(identity: Identity | None) -> Caller | None:
    """Return whom a statement is run for; None is the kernel itself.

    Raises `DatabaseError` (22023) for the one name that no role can have: to the server it means the login itself.
    """
    if identity is None:
        return None
    role = rights.role_of(identity)
    if role == "none":
        raise DatabaseError('role "none" does not exist', sqlstate="22023")
    return Caller(None if role is None else role.encode(), rights.claims_of(identity).encode())


class NativeRights:
    """The `Rights` contract where there is nothing to write."""

    def __init__(self, table: Table) -> None:
        schema, name = (part.replace('"', '""') for part in (table.schema, table.name))
        self.source = f'"{schema}"."{name}"'

    def where(self, test: str | None) -> str:
        """Return the test as it is."""
        return "" if test is None else f" WHERE {test}"

    def rows(self, columns: Sequence[str], source: str) -> tuple[Sequence[str], str]:
        """Return the rows as they are."""
        return columns, source

    def changed(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the values as they are."""
        return values

    def merged(self, values: Mapping[str, str]) -> Mapping[str, str]:
        """Return the values as they are."""
        return values

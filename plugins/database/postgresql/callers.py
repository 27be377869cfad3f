"""Callers of statements: PostgreSQL itself applies the rights of the role that a statement runs as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from kernel.contracts.catalogue import Table
from kernel.contracts.database import DatabaseError, RequestSettings
from kernel.identity import Identity
from plugins.database import rights


class Caller(msgspec.Struct, frozen=True):
    """Who statements are run for: the role they run as (None is the connection's own), the token's claims, settings."""

    role: bytes | None
    claims: bytes
    settings: RequestSettings | None = None

    @property
    def given(self) -> bytes | None:
        """The settings as the text of a JSON object; None where there are none."""
        return None if self.settings is None else msgspec.json.encode(self.settings.given())

    @property
    def first(self) -> bytes | None:
        """The call to be made before statements."""
        if self.settings is None or self.settings.first is None:
            return None
        return f"select {_qualified(*self.settings.first)}()".encode()

    @property
    def wanted(self) -> bytes | None:
        """The names of the settings to be read after statements, as a JSON array; None where there are none."""
        if self.settings is None or not self.settings.wanted:
            return None
        return msgspec.json.encode(self.settings.wanted)


def caller_of(identity: Identity | None, settings: RequestSettings | None = None) -> Caller | None:
    """Return whom a statement is run for; None is the kernel itself.

    Raises `DatabaseError` (22023) for the one name that no role can have: to the server it means the login itself.
    """
    if identity is None:
        return None
    role = rights.role_of(identity)
    if role == "none":
        raise DatabaseError('role "none" does not exist', sqlstate="22023")
    return Caller(None if role is None else role.encode(), rights.claims_of(identity).encode(), settings)


def _qualified(*names: str) -> str:
    return ".".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in names)


class NativeRights:
    """The `Rights` contract where there is nothing to write."""

    def __init__(self, table: Table) -> None:
        self.source = self.target = _qualified(table.schema, table.name)

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

"""Who runs a statement: the role whose rights count, and what the request says of the caller."""

from __future__ import annotations

from typing import Any

import msgspec

from kernel.contracts.database import Compiled, DatabaseError
from kernel.identity import Identity

UNRESTRICTED = "service_role"
"""The role of the project's own servers: no grant and no policy concerns it."""

OWNER = "postgres"
"""What the kernel itself goes by where nobody asks, and who owns all functions, on SQLite."""


def role_of(identity: Identity | None) -> str | None:
    """Return the role whose rights a statement runs with; None is without bounds, as the kernel itself is."""
    if identity is None or identity.role == UNRESTRICTED:
        return None
    return identity.role


def check(statement: Compiled, identity: Identity | None) -> None:
    """Raise `DatabaseError` (42501) unless `statement` was compiled with the rights of `identity`."""
    role = role_of(identity)
    if role is not None and statement.role != role:
        raise DatabaseError(
            f"permission denied: the statement was not compiled with the rights of role {role}",
            sqlstate="42501",
        )


def claims_of(identity: Identity) -> str:
    """Return what ``request.jwt.claims`` holds: the token's claims as JSON, with the role and subject that count."""
    claims: dict[str, Any] = {**identity.claims, "role": identity.role}
    if identity.subject is not None:
        claims["sub"] = identity.subject
    return msgspec.json.encode(claims).decode()


def setting(name: str, identity: Identity | None) -> str | None:
    """Return what a statement of `identity`'s is told: ``role``, ``request.jwt.claims``, or one claim as text.

    ``jwt.role`` is the role as the claims have it, which the kernel itself has none of.
    """
    if name == "role":
        return OWNER if identity is None else identity.role
    if identity is None:
        return None
    if name == "jwt.role":
        return identity.role
    if name == "request.jwt.claims":
        return claims_of(identity)
    if name == "sub" and identity.subject is not None:
        return identity.subject
    return _as_text(identity.claims.get(name))


def _as_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()

"""The last line of defence: a statement must have been compiled with its caller's rights."""

from __future__ import annotations

from kernel.contracts.database import Compiled, DatabaseError
from kernel.identity import Identity

_UNRESTRICTED = "service_role"


def check(statement: str | Compiled, identity: Identity | None) -> None:
    """Raise `DatabaseError` (42501) unless `statement` may run for `identity`; None is the kernel itself."""
    if identity is None or identity.role == _UNRESTRICTED:
        return
    compiled_for = statement.role if isinstance(statement, Compiled) else None
    if compiled_for != identity.role:
        raise DatabaseError(
            f"permission denied: the statement was not compiled with the rights of role {identity.role}",
            sqlstate="42501",
        )

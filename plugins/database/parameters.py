"""Parameters' values, checked before they reach the engine."""

from __future__ import annotations

from kernel.contracts.database import DatabaseError, Params


def checked(params: Params) -> Params | None:
    """Return the parameters to bind; raises 22021 for a NUL character, which PostgreSQL's text cannot hold."""
    if not params:
        return None
    for value in params.values():
        if type(value) is str and "\x00" in value:
            raise DatabaseError('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
    return params

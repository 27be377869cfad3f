"""Refusals that say how to open what they refuse."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from kernel.contracts.database import DatabaseError
from kernel.contracts.queries import Call, Delete, Insert, Select, Update
from kernel.identity import Identity

Query = Select | Insert | Update | Delete
Method = TypeVar("Method", bound=Callable[..., Any])

_COMMANDS = {Select: "select", Insert: "insert", Update: "update", Delete: "delete"}


def hinting(method: Method) -> Method:
    """Have a method over a query give a missing right (42501) the hint that names the statement which grants it.

    The names in it are those that the caller asked with.
    """

    @functools.wraps(method)
    def run(self: Any, query: Query | Call, identity: Identity | None, **options: Any) -> Any:
        try:
            return method(self, query, identity, **options)
        except DatabaseError as error:
            if error.sqlstate == "42501" and error.hint is None:
                error.hint = hint(error.message, query, "anon" if identity is None else identity.role)
            raise

    return run  # type: ignore[return-value]


def hint(message: str, query: Query | Call, role: str) -> str | None:
    """Return the statement that would open what a message refuses, for a migration; None where there is no telling."""
    if isinstance(query, Call):
        if message == f"permission denied for function {query.function}":
            return f"To allow it: grant execute on function {query.schema}.{query.function} to {role};"
        return None
    command, name = _COMMANDS[type(query)], f"{query.schema}.{query.table}"
    if message in (f"permission denied for table {query.table}", f"permission denied for view {query.table}"):
        returns = not isinstance(query, Select) and (query.returning is not None or _is_found(query))
        wanted = f"select, {command}" if returns else command
        if isinstance(query, Insert) and query.conflict is not None:
            wanted = "select, insert, update"
        return f"To allow it: grant {wanted} on {name} to {role};"
    if message == f'new row violates row-level security policy for table "{query.table}"':
        return f"To allow it: create policy ... on {name} for {command} to {role} with check (...);"
    return None


def _is_found(query: Insert | Update | Delete) -> bool:
    return not isinstance(query, Insert) and bool(query.where)

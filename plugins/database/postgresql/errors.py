"""PostgreSQL's errors as the contract has them: what the server says, and what is said where there is no server."""

from __future__ import annotations

import re
from typing import Any

from psycopg.pq import DiagnosticField

from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from plugins.database import timeouts

# Classes and codes (PostgreSQL's appendix A) that a later try may not meet: connection, resources, shutdown, locks.
_PASSING = ("08", "53", "57P")
_FULL = "53100"
READ_ONLY = "25006"
_PASSING_CODES = frozenset({"55P03", "40001", "40P01"})

# What to do where a server does not let us in: there, libpq has no SQLSTATE but only its, or the server's, words.
_ADVICE = (
    (re.compile('database ".*" does not exist'), "make it with createdb, or name another: [database] url"),
    (
        re.compile('role ".*" does not exist|authentication failed|no password supplied'),
        "mend the user or the password: [database] url, or KERNEL_DATABASE__URL",
    ),
    (re.compile("refused|No such file"), "start the server, or mend the host and the port: [database] url"),
    (re.compile("resolve host|translate host"), "mend the host: [database] url"),
)

_FIELDS = {
    "detail": DiagnosticField.MESSAGE_DETAIL,
    "hint": DiagnosticField.MESSAGE_HINT,
    "schema": DiagnosticField.SCHEMA_NAME,
    "table": DiagnosticField.TABLE_NAME,
    "column": DiagnosticField.COLUMN_NAME,
    "constraint": DiagnosticField.CONSTRAINT_NAME,
}


def refusal(result: Any) -> DatabaseError:
    """Return the error that a result of libpq holds."""
    sqlstate = _field(result, DiagnosticField.SQLSTATE) or "08006"
    message = _field(result, DiagnosticField.MESSAGE_PRIMARY) or "the connection to the database was lost"
    if sqlstate == _FULL:
        return _full(message)
    passing = sqlstate.startswith(_PASSING) or sqlstate in _PASSING_CODES
    kind = DatabaseUnavailable if passing else DatabaseError
    fields = {name: _field(result, field) for name, field in _FIELDS.items()}
    if sqlstate == "57014" and message.endswith("statement timeout"):
        fields["hint"] = timeouts.HINT
    return kind(message, sqlstate=sqlstate, **fields)


def _full(message: str) -> DatabaseUnavailable:
    """Return the error for a server whose disk is full; which of its files could not grow is not for clients."""
    error = DatabaseUnavailable("could not write: the disk is full", sqlstate=_FULL)
    error.add_note(f"{message}; free some of the disk that the database server's files are on")
    return error


def read_only(error: DatabaseError) -> DatabaseUnavailable:
    """Return the error where no transaction that writes can begin: the server is to blame, and no client."""
    refused = DatabaseUnavailable("the database server is read-only", sqlstate=READ_ONLY)
    refused.add_note(f"{error.message}; name the primary server, or promote this one: [database] url")
    return refused


def lost() -> DatabaseUnavailable:
    """Return the error for a connection that broke."""
    return DatabaseUnavailable("the connection to the database was lost", sqlstate="08006", hint="Try again.")


def silent(seconds: float | None) -> DatabaseUnavailable:
    """Return the error for a connection that was given up, because nothing came for so long."""
    return DatabaseUnavailable(
        f"the database has not answered for {seconds:g} seconds", sqlstate="08006", hint="Try again."
    )


def undecided() -> DatabaseUnavailable:
    """Return the error for a connection that broke during a commit: nobody told what became of it."""
    error = DatabaseUnavailable(
        "the connection to the database was lost during the commit, which may or may not have happened",
        sqlstate="08007",
        hint="Look whether it has before trying again.",
    )
    error.retry_after = None
    return error


def unreachable(reason: str) -> DatabaseUnavailable:
    """Return the error for a server that does not let us in; `reason` is for the log and not for clients."""
    error = DatabaseUnavailable("the database cannot be reached", sqlstate="08001", hint="Try again.")
    advice = next((advice for cause, advice in _ADVICE if cause.search(reason)), "see [database] url")
    error.add_note(f"{' '.join(reason.split())}; {advice}")
    return error


def exhausted(size: int, seconds: float) -> DatabaseUnavailable:
    """Return the error for a pool that had no connection to spare in time."""
    return DatabaseUnavailable(
        f"all {size} connections to the database were in use for {seconds:g} seconds",
        sqlstate="53300",
        hint="Try again; [database] connections sets how many there are.",
    )


def _field(result: Any, field: DiagnosticField) -> str | None:
    value = result.error_field(field)
    return None if value is None else value.decode(errors="replace")

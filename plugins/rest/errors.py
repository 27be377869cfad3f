"""Errors in PostgREST's shape, codes and statuses."""

from __future__ import annotations

import msgspec

from kernel.contracts.catalogue import Function
from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from kernel.contracts.records import (
    AmbiguousFunction,
    AmbiguousRelationship,
    NoRelationship,
    NotEmbedded,
    NotToOne,
    RecordsError,
    TooManyAffected,
    UnknownColumn,
    UnknownFunction,
    UnknownTable,
    Unsupported,
    WrongCount,
)
from kernel.contracts.relationships import Relationship, Side
from kernel.http import HeaderList, Problem, Response
from kernel.identity import Identity

_encode = msgspec.json.Encoder().encode

# SQLSTATE to HTTP status, the longest matching prefix first; what is not here is 400.
_STATUS_BY_STATE = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "23503": 409, "23505": 409, "25006": 405, "25": 500,
    "21000": 500, "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500, "40": 500, "42883": 404,
    "42P01": 404, "42P17": 500, "42501": 403, "53400": 500, "53": 503, "54": 400, "55": 500,
    "57P01": 503, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0001": 400, "P0": 500, "XX": 500,
}  # fmt: skip

# Of an invalid value in general, and of the role that a statement was to run as (`Database.rights`).
_UNKNOWN_ROLE = "22023"


class RestError(Exception):
    """A request that cannot be answered; all of it may be shown to the client."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: str | list[dict[str, str]] | None = None,
        hint: str | None = None,
        *,
        headers: HeaderList | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = details
        self.hint = hint
        self.headers = headers or []

    def response(self) -> Response:
        """Return the answer that says so."""
        body = {"code": self.code, "details": self.details, "hint": self.hint, "message": self.message}
        headers = [("proxy-status", f"PostgREST; error={self.code}"), *self.headers]
        return Response(_encode(body), self.status, headers, content_type="application/json; charset=utf-8")


def translate(error: RecordsError | DatabaseError, identity: Identity | None) -> RestError:
    """Say in PostgREST's words what the records or the database refused."""
    match error:
        case DatabaseError():
            return _database(error, identity)
        case UnknownTable():
            hint = (
                f"Perhaps you meant the table '{error.schema}.{error.suggestion}'"
                if error.suggestion
                else None
            )
            message = f"Could not find the table '{error.schema}.{error.table}' in the schema cache"
            return RestError(404, "PGRST205", message, hint=hint)
        case UnknownColumn():
            message = f"Could not find the '{error.column}' column of '{error.table}' in the schema cache"
            return RestError(400, "PGRST204", message)
        case NoRelationship():
            return _no_relationship(error)
        case AmbiguousRelationship():
            return _ambiguous(error)
        case NotEmbedded():
            return not_embedded(error.name)
        case NotToOne():
            message = f"A related order on '{error.relation}' is not possible"
            details = (
                f"'{error.table}' and '{error.relation}' do not form a many-to-one or one-to-one relationship"
            )
            return RestError(400, "PGRST118", message, details)
        case WrongCount():
            message = "Cannot coerce the result to a single JSON object"
            return RestError(406, "PGRST116", message, f"The result contains {error.count} rows")
        case TooManyAffected():
            message = "Query result exceeds max-affected preference constraint"
            return RestError(400, "PGRST124", message, f"The query affects {error.count} rows")
        case UnknownFunction() | AmbiguousFunction():
            return _function(error)
        case Unsupported():
            return not_implemented(str(error))
    raise error


def _no_relationship(error: NoRelationship) -> RestError:
    between = f"between '{error.table}' and '{error.relation}'"
    message = f"Could not find a relationship {between} in the schema cache"
    using = f" using the hint '{error.hint}'" if error.hint is not None else ""
    details = (
        f"Searched for a foreign key relationship {between}{using} in the schema '{error.schema}', "
        "but no matches were found."
    )
    meant = error.suggestion
    hint = None if meant is None else f"Perhaps you meant '{meant}' instead of '{error.instead_of}'."
    return RestError(400, "PGRST200", message, details, hint)


def _ambiguous(error: AmbiguousRelationship) -> RestError:
    name = error.relation
    message = f"Could not embed because more than one relationship was found for '{error.table}' and '{name}'"
    ways = ", ".join(f"'{found.target}!{_telling(found)}'" for found in error.candidates)
    hint = (
        f"Try changing '{name}' to one of the following: {ways}. "
        "Find the desired relationship in the 'details' key."
    )
    return RestError(300, "PGRST201", message, [_described(found) for found in error.candidates], hint)


def _function(error: UnknownFunction | AmbiguousFunction) -> RestError:
    return _no_function(error) if isinstance(error, UnknownFunction) else _ambiguous_function(error)


def _no_function(error: UnknownFunction) -> RestError:
    name, names = f"{error.schema}.{error.function}", ", ".join(sorted(error.names))
    whole = f"a single unnamed {'json/jsonb' if error.whole == 'json' else error.whole} parameter"
    given, searched = f"({names})", f" with parameter{'s' if len(error.names) > 1 else ''} {names}"
    if not error.names:
        given = searched = " without parameters"
    if error.whole == "json":
        searched += f" or with {whole}"
    elif error.whole is not None:
        given, searched = "", f" with {whole}"
    details = f"Searched for the function {name}{searched}, but no matches were found in the schema cache."
    hint = None
    if error.suggestion is not None:
        hint = f"Perhaps you meant to call the function {error.schema}.{error.suggestion}"
    message = f"Could not find the function {name}{given} in the schema cache"
    return RestError(404, "PGRST202", message, details, hint)


def _ambiguous_function(error: AmbiguousFunction) -> RestError:
    candidates = ", ".join(map(_signature, error.candidates))
    message = f"Could not choose the best candidate function between: {candidates}"
    hint = (
        "Try renaming the parameters or the function itself in the database "
        "so function overloading can be resolved"
    )
    return RestError(300, "PGRST203", message, hint=hint)


def _signature(function: Function) -> str:
    arguments = (f"{argument.name or ''} => {argument.type}" for argument in function.arguments)
    return f"{function.schema}.{function.name}({', '.join(arguments)})"


def _telling(found: Relationship) -> str:
    """Return the hint that tells one relationship from others: its foreign key, or the table between."""
    return found.junction.table if found.junction is not None else _side(found).constraint


def _described(found: Relationship) -> dict[str, str]:
    if found.junction is not None:
        near, far = found.junction.near, found.junction.far
        how = (
            f"{found.junction.table} using {near.constraint}{_listed(near.columns)} "
            f"and {far.constraint}{_listed(far.columns)}"
        )
    else:
        side = _side(found)
        how = (
            f"{side.constraint} using {found.table}{_listed(side.columns)} "
            f"and {found.target}{_listed(side.related_columns)}"
        )
    embedding = f"{found.table} with {found.target}"
    return {"cardinality": found.cardinality, "relationship": how, "embedding": embedding}


def _side(found: Relationship) -> Side:
    assert found.side is not None  # noqa: S101 - the contract: one of the two is there
    return found.side


def _listed(columns: tuple[str, ...]) -> str:
    return f"({', '.join(columns)})"


def _database(error: DatabaseError, identity: Identity | None) -> RestError:
    headers: HeaderList = []
    status = 503 if isinstance(error, DatabaseUnavailable) else _status(error.sqlstate)
    if error.sqlstate == "42501" and (identity is None or identity.role == "anon"):
        status = 401
        headers = [("www-authenticate", "Bearer")]
    elif error.sqlstate == _UNKNOWN_ROLE and identity is not None and _is_unknown(identity.role, error):
        status = 401
        headers = [("www-authenticate", 'Bearer error="invalid_token"')]
    return RestError(status, error.sqlstate, error.message, error.detail, error.hint, headers=headers)


def _is_unknown(role: str, error: DatabaseError) -> bool:
    return error.message == f'role "{role}" does not exist'


def _status(sqlstate: str) -> int:
    return _STATUS_BY_STATE.get(sqlstate) or _STATUS_BY_STATE.get(sqlstate[:2], 400)


def of_problem(problem: Problem) -> RestError:
    """Put an error of the kernel's (a body too large, a bad token, a failure) into PostgREST's shape."""
    if problem.status >= 500:
        details = f"error id {problem.error_id}" if problem.error_id else None
        return RestError(problem.status, "PGRSTX00", problem.detail or problem.title, details)
    code = {401: "PGRST301", 404: "PGRST125", 413: "PGRST102"}.get(problem.status, "PGRST000")
    if problem.extensions.get("code") == "invalid_claims":
        code = "PGRST303"
    details = problem.extensions.get("details")
    return RestError(problem.status, code, problem.detail or problem.title, details)


def unsupported_method(method: str) -> RestError:
    """Refuse a method that nothing has here."""
    return RestError(405, "PGRST117", f"Unsupported HTTP method: {method}")


def not_implemented(details: str) -> RestError:
    """Refuse a part of PostgREST's language that is not answered here."""
    return RestError(400, "PGRST127", "Feature not implemented", details)


def bad_body(message: str) -> RestError:
    """Refuse a request body."""
    return RestError(400, "PGRST102", message)


def not_embedded(name: str) -> RestError:
    """Refuse a filter or an order on something that the request does not embed."""
    message = f"'{name}' is not an embedded resource in this request"
    hint = f"Verify that '{name}' is included in the 'select' query parameter."
    return RestError(400, "PGRST108", message, hint=hint)


def bad_range(details: str) -> RestError:
    """Refuse a range of rows; PostgREST answers 416."""
    return RestError(416, "PGRST103", "Requested range not satisfiable", details)

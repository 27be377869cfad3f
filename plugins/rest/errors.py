"""Errors in PostgREST's shape, codes and statuses."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from kernel.http import HeaderList, Problem, Response

Verbosity = Literal["verbose", "minimal"]
"""Whether an error tells details and a hint, too."""

_encode = msgspec.json.Encoder().encode


class RestError(Exception):
    """A request that cannot be answered; all of it may be shown to the client."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        details: str | list[dict[str, Any]] | None = None,
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

    def response(self, verbosity: Verbosity) -> Response:
        """Return the answer that says so."""
        more = {"details": self.details, "hint": self.hint} if verbosity == "verbose" else {}
        body = {"code": self.code, **more, "message": self.message}
        headers = [("proxy-status", f"PostgREST; error={self.code}"), *self.headers]
        return Response(_encode(body), self.status, headers, content_type="application/json; charset=utf-8")


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

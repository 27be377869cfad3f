"""Batches: several requests in one transaction, all of them or none, each with the caller's rights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote

import msgspec

from kernel.contracts.records import Records
from kernel.http import Request, Response
from plugins.rest.errors import RestError, bad_body
from plugins.rest.language.query import QueryParser
from plugins.rest.negotiation.terms import Negotiator
from plugins.rest.routes import Tables, answering
from plugins.rest.rpc.routes import Functions

MOST_OPERATIONS = 1_000
"""How many operations one batch may have."""

_PATH = re.compile(r"/rest/v1/(rpc/)?([^/?#]+)(?:\?([^#]*))?")
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
_NO_HEADERS: Mapping[str, str] = {}


class Operation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One request of a batch.

    `path` is that of a table or a function with its query, as in ``/rest/v1/items?id=eq.1``. Later operations refer
    to what it answered by its `name`: ``${name.0.id}`` in a path, or in `set`, which fills members of the body's
    objects (``{"item_id": "name.0.id"}``).
    """

    path: str
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    headers: dict[str, str] = {}
    body: msgspec.Raw = msgspec.Raw(b"")
    name: str | None = None
    set: dict[str, str] = {}


_decode = msgspec.json.Decoder(list[Operation]).decode


class _Failed(Exception):
    """Ends a batch, with the answer of the operation that failed."""

    def __init__(self, number: int, response: Response) -> None:
        super().__init__(number)
        self.number = number
        self.response = response


class Batch:
    """The handler of batches."""

    def __init__(self, records: Records, parser: QueryParser, negotiator: Negotiator) -> None:
        self._records = records
        self._parser = parser
        self.negotiator = negotiator

    @answering
    def run(self, request: Request, body: bytes) -> Response:
        """POST: the answers of all operations, or the error of the first that fails, after which nothing stays."""
        operations = _operations(body)
        try:
            whole = self._records.under(self.negotiator.settings(request))
            with whole.together(request.identity) as records:
                tables = Tables(records, self._parser, self.negotiator)
                functions = Functions(records, self._parser, self.negotiator)
                answers = _Answers()
                for number, operation in enumerate(operations):
                    response = _run(tables, functions, request, answers.filled(operation, number))
                    if response.status >= 400 or response.status == 300:
                        raise _Failed(number, response)
                    answers.add(operation.name, response)
        except _Failed as failed:
            return _refusal(failed)
        return Response.json({"results": answers.told})


class _Answers:
    """What the operations so far have answered."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self._named: dict[str, Any] = {}

    def add(self, name: str | None, response: Response) -> None:
        """Take an answer."""
        body = _bytes(response)
        kind = response.header("content-type") or ""
        is_json = "json" in kind
        told = msgspec.Raw(body) if body and is_json else body.decode() or None
        self.told.append({"status": response.status, "headers": dict(response.headers), "body": told})
        if name is not None:
            self._named[name] = msgspec.json.decode(body) if body and is_json else None

    def filled(self, operation: Operation, number: int) -> Operation:
        """Return an operation with what it refers to in its place."""
        path = _REFERENCE.sub(
            lambda found: quote(_text(self._find(found[1], number)), safe=""), operation.path
        )
        body = operation.body
        if operation.set:
            found = {member: self._find(reference, number) for member, reference in operation.set.items()}
            body = msgspec.Raw(msgspec.json.encode(_with(msgspec.json.decode(bytes(body) or b"{}"), found)))
        return msgspec.structs.replace(operation, path=path, body=body)

    def _find(self, reference: str, number: int) -> Any:
        name, *steps = reference.split(".")
        try:
            value = self._named[name]
            for step in steps:
                value = value[int(step)] if isinstance(value, list) else value[step]
        except (LookupError, TypeError, ValueError):
            message = f"operation {number} refers to '{reference}', which no earlier operation has answered"
            hint = "Name the earlier operation, and have it answer with Prefer: return=representation."
            raise RestError(400, "PGRST102", message, hint=hint) from None
        return value


def _operations(body: bytes) -> list[Operation]:
    try:
        operations = _decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        shape = "a batch is a JSON array of objects with path, method, headers, body, name and set"
        raise bad_body(
            f"{shape}: {error}" if isinstance(error, msgspec.ValidationError) else shape
        ) from error
    if len(operations) > MOST_OPERATIONS:
        raise bad_body(f"a batch has at most {MOST_OPERATIONS} operations")
    return operations


def _run(tables: Tables, functions: Functions, request: Request, operation: Operation) -> Response:
    found = _PATH.fullmatch(operation.path)
    if found is None:
        raise RestError(
            404, "PGRST125", "Invalid path specified in request URL", f"in a batch: {operation.path}"
        )
    headers = {name.lower(): value for name, value in operation.headers.items()}
    headers.setdefault("content-type", "application/json")
    inner = Request(
        operation.method,
        unquote(operation.path.partition("?")[0]),
        found[3] or "",
        headers,
        scheme=request.scheme,
        host=request.host,
        peer=request.peer,
    )
    inner.id, inner.trace, inner.identity, inner.started = (
        request.id, request.trace, request.identity, request.started,
    )  # fmt: skip
    name = unquote(found[2])
    if found[1]:
        if operation.method == "POST":
            return functions.call(inner, name, bytes(operation.body))
        return functions.read(inner, name) if operation.method == "GET" else functions.refuse(inner, name)
    if operation.method == "GET":
        return tables.read(inner, name)
    if operation.method == "DELETE":
        return tables.delete(inner, name)
    writes: dict[str, Callable[[Request, str, bytes], Response]] = {
        "POST": tables.insert, "PUT": tables.put, "PATCH": tables.update,
    }  # fmt: skip
    return writes[operation.method](inner, name, bytes(operation.body))


def _with(body: Any, members: dict[str, Any]) -> Any:
    rows = body if isinstance(body, list) else [body]
    if not all(isinstance(row, dict) for row in rows):
        raise bad_body("set fills the members of objects, and the body holds something else")
    for row in rows:
        row.update(members)
    return body


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _refusal(failed: _Failed) -> Response:
    response = failed.response
    error = {**msgspec.json.decode(_bytes(response)), "operation": failed.number}
    headers = [pair for pair in response.headers if pair[0] != "content-length"]
    return Response(msgspec.json.encode(error), response.status, headers)


def _bytes(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    raise bad_body("an answer is too large for a batch; ask for it by itself")

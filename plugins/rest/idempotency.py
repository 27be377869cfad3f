"""Idempotency keys: a write that is sent again is answered again, and happens once.

The key is kept in the transaction of the write, with its answer: either both are there or neither, whatever dies in
between. Source: draft-ietf-httpapi-idempotency-key-header.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from datetime import timedelta
from hashlib import blake2b
from types import MethodType
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from kernel.contracts.database import Database, DatabaseError, RequestSettings, Transaction
from kernel.contracts.records import Records
from kernel.http import Request, Response
from kernel.identity import Identity
from kernel.sources import Clock
from plugins.rest.errors import RestError, not_implemented
from plugins.rest.negotiation.surroundings import overridden
from plugins.rest.negotiation.terms import Negotiator

T = TypeVar("T")
P = ParamSpec("P")
Handler = Callable[..., Response]

HEADER = "idempotency-key"
LONGEST = 255
"""How many characters a key may have."""

_TOLD_BY = ("accept", "accept-profile", "content-profile", "content-type", "if-match", "prefer")
_LOCKED = "55P03"
_PURGE_SECONDS = 60.0

_CLAIM = """
insert into kernel.idempotency_keys (caller, key, request, expires) values (:caller, :key, :request, :expires)
on conflict (caller, key) do update set request = excluded.request, expires = excluded.expires
where idempotency_keys.expires <= :now
"""
_ANSWER = """
update kernel.idempotency_keys set status = :status, headers = :headers, body = :body
where caller = :caller and key = :key
"""
_KNOWN = (
    "select request, status, headers, body from kernel.idempotency_keys where caller = :caller and key = :key"
)
_LEFT = """
select 'response.headers', nullif(current_setting('response.headers', true), '')
union all select 'response.status', nullif(current_setting('response.status', true), '')
"""
_PURGE = """
delete from kernel.idempotency_keys where (caller, key) in (
    select caller, key from kernel.idempotency_keys where expires <= :now limit 1000 for update skip locked
)
"""

_decode_headers = msgspec.json.Decoder(list[tuple[str, str]]).decode
_encode = msgspec.json.Encoder().encode


class Idempotency:
    """Makes handlers of writes obey ``Idempotency-Key``; answers are kept for `seconds`."""

    def __init__(
        self, database: Database, records: Records, negotiator: Negotiator, clock: Clock, seconds: float
    ) -> None:
        self._database = database
        self._negotiator = negotiator
        self._records = records
        self._clock = clock
        self._kept = timedelta(seconds=seconds)
        self._purge_at = 0.0

    def once(self, make: Callable[[Records], T], method: Callable[Concatenate[T, P], Response]) -> Handler:
        """Return a method as a handler that heeds keys; `make` makes what it is a method of, given records."""
        plain: Handler = MethodType(method, make(self._records))

        @functools.wraps(plain)
        def handle(request: Request, **values: Any) -> Response:
            key = request.headers.get(HEADER)
            if key is None:
                return plain(request, **values)
            try:
                response = self._answer(
                    request, key, lambda records: MethodType(method, make(records))(request, **values)
                )
            except RestError as error:
                return error.response(self._negotiator.verbosity)
            self._purge()
            return response

        return handle

    def _answer(self, request: Request, key: str, write: Callable[[Records], Response]) -> Response:
        if not 0 < len(key) <= LONGEST:
            raise RestError(400, "PGRST100", f"Idempotency-Key has 1 to {LONGEST} characters")
        if self._database.catalogue.table("idempotency_keys", "kernel") is None:
            raise not_implemented("Idempotency-Key needs a table that the plugin migrations makes.")
        identity = request.identity or Identity("anon")
        place = {"caller": _encode([identity.role, identity.subject]).decode(), "key": key}
        told = _fingerprint(request)
        try:
            settings = self._negotiator.settings(request)
            with self._database.transaction(identity, settings) as transaction:
                own = transaction.on_behalf_of(None)
                if not self._claim(own, place, told):
                    return _again(own, place, told)
                response = write(self._records.within(transaction, identity))
                if response.status >= 300:
                    raise _Refused(response)
                response = overridden(response, _left(transaction, settings))
                headers = _encode(response.headers).decode()
                answer = {"status": response.status, "headers": headers, "body": response.body}
                own.execute(_ANSWER, {**place, **answer})
                return response
        except _Refused as refused:
            return refused.response

    def _claim(self, own: Transaction, place: dict[str, str], told: str) -> bool:
        """Take the key, if nobody has it; wait for whoever is about to have it."""
        now = self._clock.now()
        times = {"now": now.isoformat(), "expires": (now + self._kept).isoformat()}
        try:
            return own.execute(_CLAIM, {**place, **times, "request": told}) > 0
        except DatabaseError as error:
            if error.sqlstate != _LOCKED:
                raise
            message = "A request with this Idempotency-Key is still being answered"
            raise RestError(409, "PGRST409", message, headers=[("retry-after", "1")]) from error

    def _purge(self) -> None:
        """Let go of answers that nobody may ask for any more, now and then."""
        moment = self._clock.monotonic()
        if moment >= self._purge_at:
            self._purge_at = moment + _PURGE_SECONDS
            with self._database.transaction() as transaction:
                transaction.execute(_PURGE, {"now": self._clock.now().isoformat()})


class _Refused(Exception):
    """Ends a transaction whose write was refused, with the answer; the key may be used again."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status)
        self.response = response


def _left(transaction: Transaction, settings: RequestSettings) -> RequestSettings:
    """Return the settings with what the database has said of the answer so far, which is to be kept with it.

    An embedded engine has noted it as it was said.
    """
    settings.left |= {name: value for name, value in transaction.query(_LEFT) if value is not None}
    return settings


def _again(own: Transaction, place: dict[str, str], told: str) -> Response:
    ((request, status, headers, body),) = own.query(_KNOWN, place)
    if request != told:
        message = "This Idempotency-Key was used for a different request"
        raise RestError(422, "PGRST422", message, hint="Use a new key for a new request.")
    return Response(body, status, [*_decode_headers(headers), ("idempotency-replayed", "true")])


def _fingerprint(request: Request) -> str:
    """Return what tells one request from another."""
    body = request.body if isinstance(request.body, bytes) else b""
    said: Iterable[Any] = [request.headers.get(name) for name in _TOLD_BY]
    head = _encode([request.method, request.path, request.query, *said])
    return blake2b(head + b"\n" + body, digest_size=16).hexdigest()

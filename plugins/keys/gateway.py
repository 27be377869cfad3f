"""Which credential of a request counts: the rule of the gateway that clients expect in front of a backend."""

from __future__ import annotations

from collections.abc import Mapping

from kernel import HTTPError, Identity, Request
from kernel.contracts.keys import InvalidToken, Keys


def identify(request: Request, keys: Keys) -> Identity | None:
    """Tell who the request speaks for; None without a credential, `HTTPError` 401 with a bad one.

    1. ``Authorization``, unless it carries an opaque key, is a bearer token and decides.
    2. Otherwise ``apikey`` does: as a header, or in the query of a WebSocket's upgrade, where a browser can set
       no headers.
    3. Otherwise an opaque key in ``Authorization``.
    """
    get = request.headers.get
    authorization: str = get("authorization") or ""
    scheme, _, token = authorization.partition(" ")
    if authorization and scheme.lower() != "bearer":
        raise _unauthorized("only bearer tokens are accepted as Authorization")
    opaque = token.startswith("sb_")
    if authorization and not opaque:
        return _verify(keys, token)
    key: str = get("apikey") or ""
    if not key and (get("upgrade") or "").lower() == "websocket":
        key = dict(request.query_items).get("apikey", "")
    if key:
        return _verify(keys, key)
    return _verify(keys, token) if opaque else None


def _verify(keys: Keys, credential: str) -> Identity:
    try:
        return keys.verify(credential.strip())
    except InvalidToken as error:
        code = "invalid_claims" if error.genuine else "invalid_token"
        raise _unauthorized(str(error), {"code": code, "details": error.details}) from None


def _unauthorized(detail: str, extensions: Mapping[str, str | None] | None = None) -> HTTPError:
    challenge = f'Bearer error="invalid_token", error_description="{detail}"'
    return HTTPError(401, detail, headers={"www-authenticate": challenge}, extensions=extensions)

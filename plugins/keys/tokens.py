"""JSON Web Tokens: whether to believe one, and how to make one."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError

from kernel.contracts.keys import InvalidToken
from kernel.identity import Identity
from plugins.keys.trust import BelievedKey, Trust

MAX_LENGTH = 16_384

_PARTS = 3
# The words are PostgREST's, whose clients look for some of them.
_UNREADABLE = "JWT cryptographic operation failed"

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Tokens:
    """Verifies tokens against what is believed of their issuer, and signs our own.

    `trusted` maps a third party's name to what is believed of it; a token of any other issuer must be signed
    with a key of `own`, whose first key signs.
    """

    def __init__(self, own: Trust, trusted: Mapping[str, Trust]) -> None:
        self._own = own
        self._trusted = dict(trusted)

    def verify(self, token: str, now: float) -> tuple[Identity, float | None]:
        """Return who the token speaks for and when it expires; raises `InvalidToken`. `now` is Unix time."""
        if len(token) > MAX_LENGTH:
            raise InvalidToken(f"the token is longer than {MAX_LENGTH} characters")
        if not token:
            raise InvalidToken("Empty JWT is sent in Authorization header")
        parts = token.count(".") + 1
        if parts != _PARTS:
            raise InvalidToken(f"Expected {_PARTS} parts in JWT; got {parts}")
        try:
            parsed = jws.extract_compact(token.encode("ascii"))
            header, claims = parsed.headers(), _decode(parsed.payload or b"")
        except (JoseError, ValueError, RecursionError):
            raise InvalidToken(_UNREADABLE) from None
        if not isinstance(header, dict) or "crit" in header or "b64" in header:
            raise InvalidToken(_UNREADABLE)
        # An unverified issuer may choose whose keys are tried: what they then confirm includes the issuer.
        issuer = claims.get("iss") if isinstance(claims, dict) else None
        trust = self._trusted.get(issuer, self._own) if isinstance(issuer, str) else self._own
        algorithm = header.get("alg")
        if not any(_signed(parsed, key) for key in trust.candidates(algorithm, header.get("kid"))):
            raise _unsigned(algorithm)
        if not isinstance(claims, dict):
            raise _wrong("Parsing claims failed")
        return _identity(claims, trust, now)

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT with these claims, signed with our first key."""
        key = self._own.keys[0]
        header = {"alg": key.algorithm, "typ": "JWT"} | ({"kid": key.kid} if key.kid is not None else {})
        return jws.serialize_compact(header, _encode(claims), key.key, registry=key.registry)

    def public_keys(self) -> list[dict[str, Any]]:
        """Return our public keys as JSON Web Keys."""
        return [
            {
                **key.key.as_dict(private=False),
                "kid": key.kid,
                "alg": key.algorithm,
                "use": "sig",
                "key_ops": ["verify"],
            }
            for key in self._own.keys
            if key.algorithm != "HS256"
        ]


def _signed(parsed: Any, key: BelievedKey) -> bool:
    try:
        return jws.validate_compact(parsed, key.key, registry=key.registry)
    except (JoseError, ValueError):
        return False


def _unsigned(algorithm: object) -> InvalidToken:
    if algorithm == "none":
        details = "JWT is unsecured but expected 'alg' was not 'none'"
        return InvalidToken("Wrong or unsupported encoding algorithm", details=details)
    details = "None of the keys was able to decode the JWT"
    return InvalidToken("No suitable key or wrong key type", details=details)


def _wrong(message: str) -> InvalidToken:
    """Return the refusal of what a genuine token claims."""
    return InvalidToken(message, genuine=True)


def _identity(claims: dict[str, Any], trust: Trust, now: float) -> tuple[Identity, float | None]:
    expires = _moment(claims, "exp")
    if expires is None and trust.named:
        raise _wrong("the token does not say when it expires")
    if expires is not None:
        expires += trust.leeway
        if now >= expires:
            raise _wrong("JWT expired")
    for name, too_early in (("nbf", "JWT not yet valid"), ("iat", "JWT issued at future")):
        begins = _moment(claims, name)
        if begins is not None and now < begins - trust.leeway:
            raise _wrong(too_early)
    _check_audience(claims.get("aud"), trust)
    role, subject = claims.get("role"), claims.get("sub")
    if role is None and not trust.named:
        role = "anon"  # it proves who asks, and gives no rights
    if not isinstance(role, str) or not role:
        raise _wrong("the token names no role")
    if trust.roles and role not in trust.roles:
        raise _wrong("the token names a role that its issuer may not give")
    if subject is not None and not isinstance(subject, str):
        raise _wrong("the token's subject is not a text")
    return Identity(role, subject, MappingProxyType(claims)), expires


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(f"The JWT '{name}' claim must be a number")
    return float(value)


def _check_audience(audience: object, trust: Trust) -> None:
    named = [] if audience is None else [audience] if isinstance(audience, str) else audience
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise _wrong("The JWT 'aud' claim must be a string or an array of strings")
    if not trust.audience or (not named and not trust.named):
        return
    if trust.audience.isdisjoint(named):
        raise _wrong("JWT not in audience")

"""Keys: who signs tokens, and who tells a good one from a bad one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from kernel.identity import Identity


class InvalidToken(Exception):
    """A credential that must not be believed; the message and `details` may be shown to the client.

    A `genuine` one is signed as it should be, and what it claims is the matter: it has expired, or is for others.
    """

    def __init__(self, message: str, *, genuine: bool = False, details: str | None = None) -> None:
        super().__init__(message)
        self.genuine = genuine
        self.details = details


class Keys(Protocol):
    """API keys and JSON Web Tokens (RFC 7519)."""

    def verify(self, token: str) -> Identity:
        """Return the identity that a JWT or an opaque ``sb_…`` key stands for; raise `InvalidToken`.

        Verified tokens are remembered until they expire; the answer never rests on an unverified claim.
        """

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT with these claims, signed by the current signing key."""

    def public_keys(self) -> list[dict[str, Any]]:
        """Return the public JSON Web Keys (RFC 7517) tokens can be checked with; never a shared secret."""

    def api_key(self, role: str) -> str:
        """Return this project's API key for `role` (``anon`` or ``service_role``); raise KeyError otherwise."""

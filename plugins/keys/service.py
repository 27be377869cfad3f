"""The `Keys` contract over the project's secrets and the keys in the settings."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kernel import Clock, Secret
from kernel.contracts.keys import InvalidToken
from kernel.errors import ConfigError
from kernel.identity import Identity
from plugins.keys.cache import VerifiedTokens
from plugins.keys.project import ProjectKeys
from plugins.keys.settings import KeysSettings

if TYPE_CHECKING:
    from plugins.keys.tokens import Tokens

ROLES = ("anon", "service_role")
REMEMBERED = 2048
LEEWAY = 30
"""How many seconds the clock of who signs our tokens may be off, as in PostgREST."""


class KeysService:
    """API keys and tokens; ready once `open` has been given the project's secrets."""

    def __init__(self, settings: KeysSettings, project: Path, clock: Clock) -> None:
        self._settings = settings
        self._project = project
        self._now = clock.now
        self._verified = VerifiedTokens(REMEMBERED)
        self._lock = threading.Lock()
        self._keys: ProjectKeys | None = None
        self._opaque: tuple[tuple[Secret, Identity], ...] = ()
        self._tokens: Tokens | None = None

    def open(self, keys: ProjectKeys) -> None:
        """Use these secrets from now on, and forget what was verified with others."""
        opaque = tuple((keys.opaque(role), _api_identity(role)) for role in ROLES)
        with self._lock:
            self._keys, self._opaque, self._tokens = keys, opaque, None
            self._verified.clear()

    def warm(self) -> None:
        """Load what the first token needs: the library, and the keys in the settings."""
        self._ready()

    def verify(self, token: str) -> Identity:
        """Return the identity that a JWT or an opaque ``sb_…`` key stands for; raise `InvalidToken`."""
        if token.startswith("sb_"):
            return self._verify_opaque(token)
        now = self._now().timestamp()
        known = self._verified.get(token, now)
        if known is not None:
            return known
        tokens = self._ready()
        identity, expires = tokens.verify(token, now)
        with self._lock:
            # A token that was verified with keys that have been replaced meanwhile is not remembered.
            if tokens is self._tokens:
                self._verified.put(token, identity, expires)
        return identity

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT with these claims, signed by the current signing key."""
        return self._ready().sign(claims)

    def public_keys(self) -> list[dict[str, Any]]:
        """Return the public JSON Web Keys tokens can be checked with; empty where a shared secret signs."""
        if not self._settings.signing_keys and not self._settings.signing_keys_file:
            return []
        return self._ready().public_keys()

    def api_key(self, role: str) -> str:
        """Return this project's opaque API key for `role`; raise KeyError for a role that has none."""
        return self._project_keys().opaque(role).reveal()

    def legacy_key(self, role: str) -> str:
        """Return this project's API key for `role` in the older form, a JWT."""
        from plugins.keys.tokens import Tokens
        from plugins.keys.trust import Trust, shared

        keys = self._project_keys()
        return Tokens(Trust([shared(keys.jwt_secret)]), {}).sign(keys.claims(role))

    def secret(self) -> Secret:
        """Return the shared secret."""
        return self._project_keys().jwt_secret

    def _project_keys(self) -> ProjectKeys:
        if self._keys is None:
            raise ConfigError("the project's keys are not there before kernel_prepare; ask for them later")
        return self._keys

    def _verify_opaque(self, key: str) -> Identity:
        given, found = key.encode(errors="surrogatepass"), None
        for known, identity in self._opaque:
            # No early end: how long it takes tells nothing about which key comes close.
            if compare_digest(given, known.reveal().encode()):
                found = identity
        if found is None:
            raise InvalidToken("the API key is not one of this project's")
        return found

    def _ready(self) -> Tokens:
        tokens = self._tokens
        if tokens is not None:
            return tokens
        from plugins.keys import trust
        from plugins.keys.tokens import Tokens

        settings = self._settings
        with self._lock:
            if self._tokens is None:
                own = trust.own(settings.signing_keys, settings.signing_keys_file, self._project)
                secret = trust.shared(self._project_keys().jwt_secret)
                self._tokens = Tokens(
                    trust.Trust([*own, secret], audience=settings.audience, leeway=LEEWAY),
                    {issuer.issuer: trust.third_party(issuer, self._project) for issuer in settings.issuers},
                )
            return self._tokens


def _api_identity(role: str) -> Identity:
    return Identity(role, None, {"role": role})

"""Which keys are believed for which issuer, and what their tokens may say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey

from kernel import Secret
from kernel.errors import ConfigError
from plugins.keys.settings import Issuer

AnyKey = OctKey | RSAKey | ECKey | OKPKey

# One algorithm per key, fixed when the key is read: a token's header chooses among keys, never how a key is used.
_BY_KIND: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("RSA", ""): ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA", "Ed25519"),
}
_MIN_RSA_BITS = 2048


class _OneAlgorithm(jws.JWSRegistry):
    """joserfc's view of a key: its one algorithm, without a warning at each use.

    The warning is about the name EdDSA, for which RFC 9864 has a more exact one; tokens in the wild carry the
    old. Header parameters we do not know are ignored, as RFC 7515 says; ``crit`` is refused elsewhere.
    """

    def __init__(self, algorithm: str) -> None:
        super().__init__(algorithms=[algorithm], strict_check_header=False)
        self._algorithm = algorithm

    def get_alg(self, name: str) -> Any:
        """Return the algorithm if that is its name."""
        if name != self._algorithm:
            raise UnsupportedAlgorithmError(name)
        return self.algorithms[name]


class BelievedKey:
    """A key, its id, and the one algorithm it is used with."""

    __slots__ = ("algorithm", "key", "kid", "registry")

    def __init__(self, key: AnyKey, algorithm: str, kid: str | None) -> None:
        self.key = key
        self.algorithm = algorithm
        self.kid = kid
        self.registry = _OneAlgorithm(algorithm)

    def __repr__(self) -> str:
        return f"<BelievedKey {self.algorithm} kid={self.kid!r}>"


class Trust:
    """One issuer's keys and limits; no `roles` means any role."""

    __slots__ = ("audience", "keys", "leeway", "named", "roles")

    def __init__(
        self,
        keys: Iterable[BelievedKey],
        *,
        named: bool = False,
        audience: Iterable[str] = (),
        roles: Iterable[str] = (),
        leeway: int = 0,
    ) -> None:
        self.keys = tuple(keys)
        self.named = named
        self.audience = frozenset(audience)
        self.roles = frozenset(roles)
        self.leeway = leeway

    def candidates(self, algorithm: object, kid: object) -> list[BelievedKey]:
        """Return the keys that a token with this header can have been signed with."""
        return [
            key
            for key in self.keys
            if key.algorithm == algorithm and (kid is None or key.kid is None or key.kid == kid)
        ]


def shared(secret: Secret) -> BelievedKey:
    """Return the project's shared secret as a key for HS256."""
    return BelievedKey(OctKey.import_key(secret.reveal()), "HS256", None)


def third_party(issuer: Issuer, project: Path) -> Trust:
    """Read a third party's public keys. Raises `ConfigError`."""
    where = f"[keys] issuers, {issuer.issuer!r}"
    if bool(issuer.jwks) == bool(issuer.jwks_file):
        raise ConfigError(f"{where}: give its keys as either jwks or jwks_file")
    document: Any = issuer.jwks or _parse(_read(project / issuer.jwks_file, where), where)
    keys = key_set(document, where)
    return Trust(keys, named=True, audience=issuer.audience, roles=issuer.roles, leeway=issuer.leeway_seconds)


def own(text: Secret, file: str, project: Path) -> list[BelievedKey]:
    """Read the project's private keys from the settings; none is an empty list. Raises `ConfigError`."""
    if text and file:
        raise ConfigError("[keys]: give either signing_keys or signing_keys_file")
    if not text and not file:
        return []
    where = "[keys] signing_keys_file" if file else "[keys] signing_keys"
    keys = key_set(_parse(_read(project / file, where) if file else text.reveal().encode(), where), where)
    if not keys[0].key.is_private:
        raise ConfigError(f"{where}: the first key signs, so it must be a private key")
    return keys


def key_set(document: Any, where: str) -> list[BelievedKey]:
    """Read a JSON Web Key Set, or one key, of asymmetric signing keys. Raises `ConfigError`, quoting no key."""
    entries = document.get("keys", [document]) if isinstance(document, dict) else document
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{where}: not a JSON Web Key Set")
    keys = [_key(entry, f"{where}, key {number}") for number, entry in enumerate(entries, 1) if _signs(entry)]
    if not keys:
        raise ConfigError(f"{where}: holds no key for signatures")
    return keys


def _signs(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("use", "sig") == "sig")


def _key(entry: dict[str, Any], where: str) -> BelievedKey:
    kind = (str(entry.get("kty")), "" if entry.get("kty") == "RSA" else str(entry.get("crv", "")))
    if kind[0] == "oct":
        raise ConfigError(
            f"{where}: a symmetric key; whoever verifies with it could sign too. Give public keys, or set jwt_secret"
        )
    algorithms = _BY_KIND.get(kind)
    if algorithms is None:
        raise ConfigError(f"{where}: kty and crv are none of RSA, EC P-256/P-384/P-521, OKP Ed25519")
    algorithm = entry.get("alg", algorithms[0])
    if algorithm not in algorithms:
        raise ConfigError(f"{where}: alg does not fit the key; it can be {', '.join(algorithms)}")
    try:
        key = JWKRegistry.import_key({name: entry[name] for name in entry if name not in ("alg", "key_ops")})
    except (JoseError, ValueError, TypeError, KeyError):
        raise ConfigError(f"{where}: not a valid JSON Web Key") from None
    assert isinstance(key, RSAKey | ECKey | OKPKey)  # noqa: S101 - the table above holds no others
    if isinstance(key, RSAKey) and key.public_key.key_size < _MIN_RSA_BITS:
        raise ConfigError(f"{where}: an RSA key needs {_MIN_RSA_BITS} bits or more")
    kid = entry.get("kid")
    return BelievedKey(key, algorithm, kid if isinstance(kid, str) else key.thumbprint())


def _read(path: Path, where: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{where}: {path} cannot be read: {error.strerror}") from error


def _parse(text: bytes, where: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The cause could quote a key.
        raise ConfigError(f"{where}: not JSON") from None

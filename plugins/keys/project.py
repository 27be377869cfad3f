"""The project's own secrets: the shared secret and the opaque API keys, in ``keys.json`` of the data folder."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path

import msgspec

from kernel import Random, Secret
from kernel.errors import ConfigError

FILE_NAME = "keys.json"
MIN_SECRET_BYTES = 32

DEMONSTRATION_SECRET = "super-secret-jwt-token-with-at-least-32-characters-long"  # noqa: S105 - public knowledge
_DEMONSTRATION_PUBLISHABLE = "sb_publishable_ACJWlzQHlZjBrEguHvfOxg_3BJgxAaH"
_DEMONSTRATION_SECRET_KEY = "sb_secret_N7UND0UgjKTVK-Uodkm0Hg_xSvEMPvz"  # noqa: S105 - public knowledge
_DEMONSTRATION_EXPIRY = 1983812996
_TEN_YEARS = 10 * 365 * 86_400


class ProjectKeys(msgspec.Struct, frozen=True):
    """A project's secrets; its legacy JWT keys follow from them (see `claims`)."""

    jwt_secret: Secret
    publishable_key: Secret
    secret_key: Secret
    issued_at: int | None = None

    def opaque(self, role: str) -> Secret:
        """Return the ``sb_…`` key for `role`; raise KeyError for a role that has none."""
        return {"anon": self.publishable_key, "service_role": self.secret_key}[role]

    def claims(self, role: str) -> dict[str, str | int]:
        """Return the claims of the legacy JWT key for `role`: always the same, so always the same key."""
        if self.issued_at is None:
            return {"iss": "supabase-demo", "role": role, "exp": _DEMONSTRATION_EXPIRY}
        expires_at = self.issued_at + _TEN_YEARS
        return {"iss": "backend-kernel", "role": role, "iat": self.issued_at, "exp": expires_at}


DEMONSTRATION = ProjectKeys(
    Secret(DEMONSTRATION_SECRET), Secret(_DEMONSTRATION_PUBLISHABLE), Secret(_DEMONSTRATION_SECRET_KEY)
)


def generate(random: Random, now: datetime) -> ProjectKeys:
    """Make new secrets."""
    return ProjectKeys(
        jwt_secret=Secret(_text(random, 48)),
        publishable_key=Secret("sb_publishable_" + _text(random, 24)),
        secret_key=Secret("sb_secret_" + _text(random, 24)),
        issued_at=int(now.timestamp()),
    )


def with_secret(keys: ProjectKeys, secret: Secret) -> ProjectKeys:
    """Return the same keys under another shared secret."""
    return msgspec.structs.replace(keys, jwt_secret=secret)


def load(path: Path) -> ProjectKeys | None:
    """Read the key file; None where there is none. Raises `ConfigError`, which never quotes the file."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    try:
        keys = msgspec.json.decode(text, type=ProjectKeys, dec_hook=_secret)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError):
        # The cause could quote a secret.
        raise ConfigError(
            f"{path} is not a key file; restore it from a backup, or remove it to have new keys made "
            "(all tokens and API keys in use stop working)"
        ) from None
    check_secret(keys.jwt_secret, str(path))
    return keys


def save(path: Path, keys: ProjectKeys) -> None:
    """Write the key file, readable by its owner alone; it is there whole or not at all."""
    text = msgspec.json.format(msgspec.json.encode(keys, enc_hook=Secret.reveal))
    scratch = path.with_suffix(".new")
    try:
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(text + b"\n")
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def check_secret(secret: Secret, where: str) -> None:
    """Refuse a shared secret that is too short for HS256 or known to everybody."""
    if len(secret.reveal().encode()) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"{where}: the shared secret is shorter than {MIN_SECRET_BYTES} bytes; "
            "make one with: openssl rand -base64 48"
        )
    if secret == DEMONSTRATION.jwt_secret:
        raise ConfigError(
            f"{where}: this is the demonstration secret, which everybody knows; use one of your own, or, to try "
            "things out on this machine alone, remove it and set demonstration = true in [keys]"
        )


def check_demonstration(host: str) -> None:
    """Refuse the demonstration keys where others could reach the server."""
    try:
        loopback = host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"[keys] demonstration = true uses keys that everybody knows, and [kernel] host = {host!r} is not a "
            "loopback address; remove the one, or set the other to 127.0.0.1"
        )


def _text(random: Random, size: int) -> str:
    return urlsafe_b64encode(random.bytes(size)).decode().rstrip("=")


def _secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, str) and value:
        return Secret(value)
    raise ValueError("expected a text")

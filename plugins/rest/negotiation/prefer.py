"""The Prefer header: what a client would like, and what of it was applied."""

from __future__ import annotations

from typing import Any

import msgspec

from kernel.http import HeaderList, Request
from plugins.rest.errors import RestError

_VALUES: dict[str, tuple[str, ...]] = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
    "stream": ("",),
}


class Preferences(msgspec.Struct, frozen=True):
    """The preferences that are understood; of a repeated one the first counts."""

    resolution: str | None = None
    missing: str | None = None
    returns: str | None = None
    count: str | None = None
    tx: str | None = None
    handling: str | None = None
    timezone: str | None = None
    max_affected: int | None = None
    stream: str | None = None

    def applied(self, *names: str) -> HeaderList:
        """Return the header that says what was asked for and done: what counts everywhere, and `names`.

        The order is PostgREST's.
        """
        values: dict[str, Any] = {
            "resolution": self.resolution,
            "missing": self.missing,
            "return": self.returns,
            "count": self.count,
            "tx": self.tx,
            "handling": self.handling,
            "timezone": self.timezone,
            "max-affected": self.max_affected,
            "stream": self.stream,
        }
        done = (*names, *_EVERYWHERE)
        said = ", ".join(
            f"{name}={value}" if value != "" else name
            for name, value in values.items()
            if value is not None and name in done
        )
        return [("preference-applied", said)] if said else []

    def without_count(self) -> Preferences:
        """Return the others."""
        return msgspec.structs.replace(self, count=None)


_EVERYWHERE = ("count", "tx", "handling", "timezone")

NONE = Preferences()


def preferences(request: Request, *, tx: bool, zones: bool) -> Preferences:
    """Read the request's preferences, that for a transaction's end only if `tx`.

    One for a time zone is known only where there are `zones`: whether there is that one, the database knows.
    With ``handling=strict`` an unknown one is PGRST122.
    """
    if request.headers.get("prefer") is None:
        return NONE
    found: dict[str, Any] = {}
    unknown: list[str] = []
    for part in ",".join(request.header_values("prefer")).split(","):
        name, _, value = part.strip().partition("=")
        if not name:
            continue
        if not (_is_known(name, value) or (zones and name == "timezone" and value)):
            unknown.append(part.strip())
        elif name == "max-affected":
            found.setdefault("max_affected", int(value))
        else:
            found.setdefault("returns" if name == "return" else name, value)
    if unknown and found.get("handling") == "strict":
        message = "Invalid preferences given with handling=strict"
        raise RestError(400, "PGRST122", message, f"Invalid preferences: {', '.join(unknown)}")
    if found.get("handling") != "strict":
        found.pop("max_affected", None)
    if not tx:
        found.pop("tx", None)
    return Preferences(**found)


def _is_known(name: str, value: str) -> bool:
    if name == "max-affected":
        return value.isascii() and value.isdigit() and len(value) < 19
    return value in _VALUES.get(name, ())

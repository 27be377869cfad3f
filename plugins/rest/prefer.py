"""The Prefer header: what a client would like, and what of it was applied."""

from __future__ import annotations

from typing import Any

import msgspec

from kernel.http import Request
from plugins.rest.errors import RestError

_VALUES: dict[str, tuple[str, ...] | None] = {
    "resolution": ("merge-duplicates", "ignore-duplicates"),
    "missing": ("default", "null"),
    "return": ("representation", "minimal", "headers-only"),
    "count": ("exact", "planned", "estimated"),
    "tx": ("commit", "rollback"),
    "handling": ("strict", "lenient"),
    "max-affected": None,
}


class Preferences(msgspec.Struct, frozen=True):
    """The preferences that are understood; of a repeated one the first counts.

    ``count=planned`` and ``count=estimated`` are answered with the exact count, and ``tx`` is not obeyed.
    """

    resolution: str | None = None
    missing: str | None = None
    returns: str | None = None
    count: str | None = None
    tx: str | None = None
    handling: str | None = None
    max_affected: int | None = None

    def applied(self, *names: str) -> list[tuple[str, str]]:
        """Return the header that says which of `names` were asked for and done; they are given in its order."""
        values: dict[str, Any] = {
            "resolution": self.resolution,
            "missing": self.missing,
            "return": self.returns,
            "count": self.count,
            "handling": self.handling,
            "max-affected": self.max_affected,
        }
        said = ", ".join(f"{name}={values[name]}" for name in names if values[name] is not None)
        return [("preference-applied", said)] if said else []


NONE = Preferences()


def preferences(request: Request) -> Preferences:
    """Read the request's preferences; with ``handling=strict`` an unknown one is PGRST122."""
    if request.headers.get("prefer") is None:
        return NONE
    found: dict[str, Any] = {}
    unknown: list[str] = []
    for part in ",".join(request.header_values("prefer")).split(","):
        name, _, value = part.strip().partition("=")
        if not name:
            continue
        if not _is_known(name, value):
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
    return Preferences(**found)


def _is_known(name: str, value: str) -> bool:
    if name == "max-affected":
        return value.isascii() and value.isdigit() and len(value) < 19
    return value in (_VALUES.get(name) or ())

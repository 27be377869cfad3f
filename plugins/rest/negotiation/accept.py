"""The Accept header: in which of the media types that there are a client wants rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeVar

import msgspec

from kernel.contracts.queries import Explain
from kernel.contracts.records import Medium
from kernel.http import Request
from plugins.rest.errors import RestError

T = TypeVar("T")


class MediaType(msgspec.Struct, frozen=True):
    """How rows are written: as an array or the `single` object there should be, without the members that are null.

    Or as lines of `csv`, or each as a line of JSON (`lines`); or one value as a function has made it, in a type of its
    `own`; or the plan for that, if it is to be explained.
    """

    content_type: str
    single: bool = False
    stripped: bool = False
    csv: bool = False
    lines: bool = False
    explain: Explain | None = None
    own: Medium | None = None


JSON = MediaType("application/json; charset=utf-8")
_OBJECT = "application/vnd.pgrst.object+json"
_ARRAY = "application/vnd.pgrst.array+json"
_SINGLE = MediaType(f"{_OBJECT}; charset=utf-8", single=True)
_STRIPPED = MediaType(f"{_ARRAY};nulls=stripped; charset=utf-8", stripped=True)
_SINGLE_STRIPPED = MediaType(f"{_OBJECT};nulls=stripped; charset=utf-8", single=True, stripped=True)

_PLAIN: dict[str, MediaType] = {
    "application/json": JSON,
    "application/*": JSON,
    "*/*": JSON,
    "application/vnd.pgrst.array": JSON,
    _ARRAY: JSON,
    "application/vnd.pgrst.object": _SINGLE,
    _OBJECT: _SINGLE,
    "text/csv": MediaType("text/csv; charset=utf-8", csv=True),
    "application/x-ndjson": MediaType("application/x-ndjson; charset=utf-8", lines=True),
}
_WITHOUT_NULLS: dict[str, MediaType] = {
    "application/vnd.pgrst.array": _STRIPPED,
    _ARRAY: _STRIPPED,
    "application/vnd.pgrst.object": _SINGLE_STRIPPED,
    _OBJECT: _SINGLE_STRIPPED,
}


_ANY = "*/*"
_PLANS: dict[str, Literal["json", "text"]] = {
    "application/vnd.pgrst.plan": "text",
    "application/vnd.pgrst.plan+text": "text",
    "application/vnd.pgrst.plan+json": "json",
}
_OPTIONS: tuple[Literal["analyze", "verbose", "settings", "buffers", "wal"], ...] = (
    "analyze", "verbose", "settings", "buffers", "wal",
)  # fmt: skip


def wanted(request: Request, *, plans: bool, own: Medium | None = None) -> MediaType:
    """Return the most preferred media type that rows, or `plans`, can be had in; raises `RestError` PGRST107.

    A function has its `own`, beside those of rows.
    """
    header: str | None = request.headers.get("accept")
    find = _rows_or_plans if plans else _rows
    if own is not None:
        return _negotiated(header or _ANY, lambda name, parameters: _own(own, name) or find(name, parameters))
    if header is None:
        return JSON
    found = _PLAIN.get(header)
    return found if found is not None else _negotiated(header, find)


def wanted_document(request: Request) -> str:
    """Return the content type of the API's description; raises `RestError` PGRST107."""
    header: str | None = request.headers.get("accept")
    return _DOCUMENT if header is None else _negotiated(header, _document)


_DOCUMENT = "application/openapi+json; charset=utf-8"


def _document(media_type: str, parameters: list[str]) -> str | None:
    known = ("application/openapi+json", "application/json", "application/*", "*/*")
    return _DOCUMENT if media_type in known else None


def _rows(media_type: str, parameters: list[str]) -> MediaType | None:
    known = _WITHOUT_NULLS if "nulls=stripped" in parameters else _PLAIN
    return known.get(media_type) or _PLAIN.get(media_type)


def _own(own: Medium, media_type: str) -> MediaType | None:
    if _ANY not in (own.name, media_type) and own.name.lower() != media_type:
        return None
    name = "application/octet-stream" if own.name == _ANY else own.name
    charset = "; charset=utf-8" if name in ("text/plain", "text/xml", "text/html") else ""
    return MediaType(f"{name}{charset}", own=own)


def _rows_or_plans(media_type: str, parameters: list[str]) -> MediaType | None:
    """Find a plan by the parameters ``for`` (what it is a plan of) and ``options``, which bars stand between."""
    form = _PLANS.get(media_type)
    if form is None:
        return _rows(media_type, parameters)
    given = dict(parameter.strip().partition("=")[::2] for parameter in parameters)
    of = _PLAIN.get(given.get("for", "application/json").strip('"'))
    options = tuple(option for option in _OPTIONS if option in given.get("options", "").split("|"))
    if of is None:
        return None
    named = f"; options={'|'.join(options)}" if options else ""
    plain = of.content_type.partition(";")[0]
    content_type = f'application/vnd.pgrst.plan+{form}; for="{plain}"{named}; charset=utf-8'
    return MediaType(content_type, csv=of.csv, explain=Explain(form, options))


def _negotiated(header: str, find: Callable[[str, list[str]], T | None]) -> T:
    """Return what is found for the most preferred of the media types for which something is."""
    ranked = [_ranked(offer) for offer in header.split(",") if offer.strip()]
    offers = [offer for rank, offer in sorted(ranked, key=lambda pair: pair[0], reverse=True) if rank[0] > 0]
    for offer in offers if ranked else ["*/*"]:
        media_type, *parameters = offer.lower().split(";")
        found = find(media_type, parameters)
        if found is not None:
            return found
    unavailable = ", ".join(offers or [offer for _, offer in ranked])
    raise RestError(406, "PGRST107", f"None of these media types are available: {unavailable}")


def _ranked(offer: str) -> tuple[tuple[float, int], str]:
    """Return how much a client wants what it offers to take, and the offer without that.

    Of those it wants as much, it wants the more specific ones more.
    """
    quality = 1.0
    parts = []
    for part in (part.strip() for part in offer.split(";")):
        name, _, value = part.partition("=")
        if name.lower() == "q":
            quality = _number(value)
        elif part:
            parts.append(part)
    text = ";".join(parts)
    return (quality, len(parts) - 1 - text.count("*")), text


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0

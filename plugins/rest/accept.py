"""The Accept header: whether a client wants rows as an array or as the one object there should be."""

from __future__ import annotations

from typing import Literal

from kernel.http import Request
from plugins.rest.errors import RestError

Shape = Literal["array", "object"]

_SHAPES: dict[str, Shape] = {
    "application/json": "array",
    "application/*": "array",
    "*/*": "array",
    "application/vnd.pgrst.array": "array",
    "application/vnd.pgrst.array+json": "array",
    "application/vnd.pgrst.object": "object",
    "application/vnd.pgrst.object+json": "object",
}

CONTENT_TYPES: dict[Shape, str] = {
    "array": "application/json; charset=utf-8",
    "object": "application/vnd.pgrst.object+json; charset=utf-8",
}


def wanted_shape(request: Request) -> Shape:
    """Return the shape of the most preferred media type there is; raises `RestError` PGRST107."""
    header: str | None = request.headers.get("accept")
    if header is None:
        return "array"
    shape = _SHAPES.get(header)
    if shape is not None:
        return shape
    offers = [part.strip() for part in header.split(",") if part.strip()]
    for offer in sorted(offers, key=_quality, reverse=True):
        media_type, *parameters = [part.strip().lower() for part in offer.split(";")]
        shape = _SHAPES.get(media_type)
        if shape is not None and "nulls=stripped" not in parameters:
            return shape
    if not offers:
        return "array"
    message = f"None of these media types are available: {', '.join(offers)}"
    raise RestError(406, "PGRST107", message)


def _quality(offer: str) -> float:
    for parameter in offer.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0

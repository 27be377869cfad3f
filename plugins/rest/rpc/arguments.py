"""Arguments of a function: from the query string, by name in a body, or the whole body as the one there is."""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from kernel.contracts.catalogue import Function
from kernel.http import Request
from plugins.rest.payload import media_type, payload, text_of

_WHOLE = {"text/plain": "text", "text/xml": "xml", "application/octet-stream": "bytea"}
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json"

_encode = msgspec.json.Encoder().encode
_decode_any = msgspec.json.Decoder(msgspec.Raw).decode


class Arguments(msgspec.Struct, frozen=True):
    """What a request gives to a function.

    `names` are those of its arguments, whose values are in `text`, a JSON object, or in `pairs`, as text. With `whole`,
    `body` is the one argument of that type for a function that takes one without a name, where none takes `names`;
    it takes no names at all if they are None.
    """

    names: tuple[str, ...] | None
    text: str = "{}"
    pairs: tuple[tuple[str, str], ...] | None = None
    whole: str | None = None
    body: str = ""

    def text_for(self, function: Function) -> str:
        """Return the JSON object with a function's arguments: of a repeated one the last, or for a variadic one all."""
        if self.pairs is None:
            return self.text
        variadic = {argument.name for argument in function.arguments if argument.variadic}
        values: dict[str, str | list[str]] = {}
        for name, value in self.pairs:
            if name in variadic:
                values[name] = [*values.get(name, ()), value]
            else:
                values[name] = value
        return _encode(values).decode()


def from_pairs(pairs: tuple[tuple[str, str], ...]) -> Arguments:
    """Return the arguments that a query string or a form has."""
    return Arguments(tuple(dict.fromkeys(name for name, _ in pairs)), pairs=pairs)


def from_body(request: Request, body: bytes, columns: tuple[str, ...] | None) -> Arguments:
    """Read a body; with `columns`, only those of its members are arguments. Raises `RestError` PGRST102."""
    kind = media_type(request)
    if kind == _FORM:
        return from_pairs(tuple(parse_qsl(text_of(request, body), keep_blank_values=True)))
    if kind in _WHOLE:
        text = f"\\x{body.hex()}" if kind == "application/octet-stream" else text_of(request, body)
        return Arguments(None, whole=_WHOLE[kind], body=text)
    rows = payload(request, body or b"{}", columns)
    whole = "json" if kind == _JSON else None
    names = rows.columns if rows.rows else ()
    return Arguments(names, rows.first(), whole=whole, body=text_of(request, body or b"{}") if whole else "")

"""Bodies of answers: rows as JSON, without nulls, or as CSV."""

from __future__ import annotations

import re

import msgspec

from plugins.rest.errors import RestError
from plugins.rest.negotiation.accept import MediaType

LARGEST_INLINE = 50_000
"""From how many bytes on an answer is rewritten in a thread."""

_decode_rows = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode

# What PostgreSQL quotes when it writes a row as text.
_QUOTED = re.compile(r'[",()\\\s]')


def body_of(rows: bytes, media: MediaType) -> bytes:
    """Return the body for a JSON array of rows, which for a `single` one holds one object."""
    if media.csv:
        return csv_of(rows)
    if media.lines:
        return b"".join(bytes(row) + b"\n" for row in _decode_array(rows))
    body = rows[1:-1] if media.single else rows
    if not media.stripped:
        return body
    try:
        return _encode(_without_nulls(msgspec.Raw(body)))
    except RecursionError as error:
        raise RestError(400, "PGRST127", "Feature not implemented", "The JSON nests too deep.") from error


def _without_nulls(value: msgspec.Raw) -> msgspec.Raw:
    """Return JSON without the members of objects that are null; all else stays as it is written."""
    text = bytes(value)
    if text.startswith(b"{"):
        kept = {}
        for name, member in _decode_object(text).items():
            if bytes(member) != b"null":
                kept[name] = _without_nulls(member)
        return msgspec.Raw(_encode(kept))
    if text.startswith(b"["):
        elements = []
        for element in _decode_array(text):
            elements.append(_without_nulls(element))
        return msgspec.Raw(_encode(elements))
    return value


def csv_of(rows: bytes, *, named: bool = True) -> bytes:
    """Write rows whose values are texts as CSV, if `named` with a line of names first; no rows have no names."""
    found = _decode_rows(rows)
    if not found:
        return b"\n" if named else b""
    lines = [",".join(_value(bytes(value)) for value in row.values()) for row in found]
    if named:
        lines.insert(0, ",".join(_cell(name) for name in found[0]))
    return "\n".join(lines).encode()


def _value(json: bytes) -> str:
    if json == b"null":
        return ""
    return _cell(_decode_text(json) if json.startswith(b'"') else json.decode())


def _cell(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if not text or _QUOTED.search(text) else text

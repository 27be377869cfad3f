"""Request bodies: JSON, CSV and forms, read as rows by column name."""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from kernel.http import Request
from plugins.rest.errors import RestError, bad_body

MAX_DEPTH = 400
"""How deep JSON in one member may nest."""

Row = dict[str, msgspec.Raw]

_decode = msgspec.json.Decoder(list[Row] | Row).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|([\[{])|([\]}])')


class Payload(msgspec.Struct, frozen=True):
    """The rows of a body: `text` is a JSON array of the `rows`, `columns` what is to be written of them."""

    columns: tuple[str, ...]
    text: str
    rows: list[Row]

    def first(self) -> str:
        """Return the first row as the text of a JSON object."""
        return _encode(self.rows[0]).decode() if self.rows else "{}"


def payload(request: Request, body: bytes, columns: tuple[str, ...] | None) -> Payload:
    """Read a body; raises `RestError` PGRST102.

    Without `columns`, the ones to write are the members of the objects, which must all have the same.
    """
    kind, text = media_type(request), text_of(request, body)
    if kind == "text/csv":
        text = _from_csv(text)
    elif kind == "application/x-www-form-urlencoded":
        text = _encode(dict(parse_qsl(text, keep_blank_values=True))).decode()
    elif kind not in ("application/json", "application/vnd.pgrst.object+json"):
        raise bad_body(f"Content-Type not acceptable: {kind}")
    return _rows(text, columns)


def media_type(request: Request) -> str:
    """Return what a request says its body is; by default JSON."""
    content_type: str = request.headers.get("content-type") or "application/json"
    return content_type.partition(";")[0].strip().lower()


def text_of(request: Request, body: bytes) -> str:
    """Return a body as text; raises `RestError` PGRST102."""
    refuse_encoding(request)
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise bad_body(
            "Empty or invalid json" if media_type(request) == "application/json" else "Invalid UTF-8"
        ) from error


def refuse_encoding(request: Request) -> None:
    """Refuse a body that is compressed; raises `RestError` PGRST102."""
    encoding = request.headers.get("content-encoding")
    if encoding is not None and encoding.strip().lower() not in ("", "identity"):
        raise bad_body(f"Content-Encoding not acceptable: {encoding}")


def _rows(text: str, columns: tuple[str, ...] | None) -> Payload:
    return checked(_objects(text), columns)


def checked(rows: list[Row], columns: tuple[str, ...] | None) -> Payload:
    """Return rows as a payload that a database can read; raises `RestError`."""
    # Of a repeated member the last counts, as in PostgreSQL: the database is to see what was read here.
    text = _encode(rows).decode()
    if "\\u0000" in text and _NUL.search(text):
        message = "unsupported Unicode escape sequence"
        raise RestError(400, "22P05", message, "\\u0000 cannot be converted to text.")
    for row in rows:
        for value in row.values():
            _check_depth(bytes(value))
    if columns is not None:
        return Payload(tuple(dict.fromkeys(columns)), text, rows)
    if not rows:
        return Payload((), text, rows)
    names = rows[0].keys()
    if any(row.keys() != names for row in rows):
        raise bad_body("All object keys must match")
    return Payload(tuple(names), text, rows)


def _objects(text: str) -> list[Row]:
    try:
        found = _decode(text)
    except msgspec.ValidationError as error:
        return _not_objects(text, error)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_body("Empty or invalid json") from error
    return [found] if isinstance(found, dict) else found


def _not_objects(text: str, cause: Exception) -> list[Row]:
    """Treat JSON that is neither an object nor an array of them as PostgREST does: a scalar is no rows."""
    try:
        value: Any = _decode_any(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise bad_body("Empty or invalid json") from error
    if isinstance(value, list):
        raise bad_body("All object keys must match") from cause
    return []


def _check_depth(value: bytes) -> None:
    """Refuse JSON that a database would refuse to parse; most values are too short to be looked at."""
    if len(value) < 2 * MAX_DEPTH or value.count(b"[") + value.count(b"{") < MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKETS.finditer(value):
        depth += (bracket[1] is not None) - (bracket[2] is not None)
        if depth > MAX_DEPTH:
            raise bad_body(f"JSON nests at most {MAX_DEPTH} deep")


def _from_csv(text: str) -> str:
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline=""), strict=True) if line]
    except csv.Error as error:
        most = csv.field_size_limit()
        raise bad_body(f"the body is not valid CSV, or a field has more than {most} characters") from error
    if not lines:
        return "[]"
    names, *rows = lines
    if any(len(row) != len(names) for row in rows):
        raise bad_body("All lines must have same number of fields")
    cells = [[None if cell == "NULL" else cell for cell in row] for row in rows]
    return _encode([dict(zip(names, row, strict=True)) for row in cells]).decode()

"""Compares an answer with what was expected of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from tests.conformance.cases import Expected

_SHOWN = 90
_ERROR_KEYS = {"message", "details", "hint", "code"}
_MISSING = object()


class Answer(msgspec.Struct, frozen=True):
    """An answer as it came over the wire; header names in lower case, a repeated one with all its values."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    def json(self) -> Any:
        """Return the body decoded, numbers with a fraction exactly; raises ValueError."""
        return json.loads(self.body, parse_float=Decimal)

    @property
    def code(self) -> str | None:
        """The `code` of an error's body, such as ``PGRST100`` or an SQLSTATE."""
        return self._of_error("code")

    @property
    def message(self) -> str | None:
        """The `message` of an error's body."""
        return self._of_error("message")

    def _of_error(self, key: str) -> str | None:
        try:
            body = self.json()
        except ValueError:
            return None
        value = body.get(key) if isinstance(body, dict) and self.status >= 300 else None
        return value if isinstance(value, str) else None


class Difference(msgspec.Struct, frozen=True):
    """One thing that differs: what (``status``, ``body``, ``header Location``), the expected and the found."""

    what: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.what}: expected {shortened(self.expected)}, got {shortened(self.found)}"


def compare(expect: Expected, answer: Answer) -> list[Difference]:
    """Return all differences; none means that the answer is the expected one."""
    found: list[Difference] = []
    if expect.status is not None and answer.status != expect.status:
        found.append(Difference("status", str(expect.status), str(answer.status)))
    found += _bodies(expect, answer)
    for wanted in expect.headers:
        found += _header(wanted, answer)
    return found


def same(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are equal: numbers by value, and true is not 1."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float | Decimal) and isinstance(other, int | float | Decimal):
        return _exact(one) == _exact(other)
    return type(one) is type(other) and bool(one == other)


def shortened(text: str, length: int = _SHOWN) -> str:
    """Return a text in one line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _bodies(expect: Expected, answer: Answer) -> Iterator[Difference]:
    if expect.text is not msgspec.UNSET and answer.body != expect.text.encode():
        yield Difference("body", repr(expect.text), _shown(answer.body))
    if expect.base64 is not msgspec.UNSET and answer.body != base64.b64decode(expect.base64):
        yield Difference("body", f"bytes {expect.base64}", _shown(answer.body))
    if expect.json is msgspec.UNSET and not expect.json_paths:
        return
    try:
        body = answer.json()
    except ValueError:
        yield Difference("body", "JSON", _shown(answer.body))
        return
    if expect.json is not msgspec.UNSET and not same(expect.json, body):
        yield Difference("body", json.dumps(expect.json, ensure_ascii=False), _shown(answer.body))
    for wanted in expect.json_paths:
        yield from _at_path(wanted, body)


def _at_path(wanted: dict[str, Any], body: Any) -> Iterator[Difference]:
    where = "body at " + ".".join(map(str, wanted["path"]))
    value = _follow(body, wanted["path"])
    there = "nothing" if value is _MISSING else json.dumps(value, ensure_ascii=False, default=str)
    if "equals" in wanted and not same(wanted["equals"], value):
        yield Difference(where, json.dumps(wanted["equals"], ensure_ascii=False), there)
    elif "present" in wanted and value is _MISSING:
        yield Difference(where, "something", there)
    elif "absent" in wanted and value is not _MISSING:
        yield Difference(where, "nothing", there)


def _follow(value: Any, path: list[str | int]) -> Any:
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return _MISSING
    return value


def _header(wanted: dict[str, Any], answer: Answer) -> Iterator[Difference]:
    if "special" in wanted:
        yield from _special(wanted["special"], answer)
        return
    name = wanted["name"]
    values = answer.headers.get(name.lower(), [])
    there = ", ".join(values) if values else "none"
    holds, expected = _condition(wanted, answer, values)
    if not holds:
        yield Difference(f"header {name}", expected, there)


def _condition(wanted: dict[str, Any], answer: Answer, values: list[str]) -> tuple[bool, str]:
    """Return whether a header is as wanted, and how it was wanted."""
    match wanted:
        case {"equals": _, "name": name} if name.lower() == "content-length":
            # Bodies that are equal as JSON differ in their length.
            return values == [str(len(answer.body))], f"the body's length, {len(answer.body)}"
        case {"equals": text}:
            return text in values, text
        case {"contains": text}:
            return any(text in value for value in values), f"…{text}…"
        case {"regex": pattern}:
            return any(re.search(pattern, value) for value in values), f"/{pattern}/"
        case {"absent": _}:
            return not values, "none"
        case {"not_equals": text}:
            return bool(values) and text not in values, f"other than {text}"
    raise ValueError(f"a case asks for a header in an unknown way: {wanted}")


def _special(kind: str, answer: Answer) -> Iterator[Difference]:
    if kind == "no_blank_header":
        if "" in answer.headers:
            yield Difference("headers", "no blank one", "a blank one")
    elif kind == "error_format":
        try:
            body = answer.json()
        except ValueError:
            body = None
        if not isinstance(body, dict) or "message" not in body or not body.keys() <= _ERROR_KEYS:
            yield Difference("body", "an error's message, details, hint and code", _shown(answer.body))
    else:
        raise ValueError(f"a case asks for something unknown of the headers: {kind}")


def _shown(body: bytes) -> str:
    return body.decode(errors="backslashreplace") or "nothing"


def _exact(number: float | Decimal) -> Decimal:
    return number if isinstance(number, Decimal) else Decimal(str(number))

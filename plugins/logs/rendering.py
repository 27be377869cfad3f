"""How a line looks: JSON for machines, few words and some colour for people."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from plugins.logs.entries import Entry, Line, RequestDone, line_of, request_line
from plugins.logs.redaction import one_line, scrub

Render = Callable[[Entry], str]

_OURS = frozenset({"time", "level", "logger", "event", "exception"})
# What msgspec, as JSON allows, leaves as it is, but a terminal or a line reader may act on.
_UNSAFE = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_AMBIGUOUS = re.compile(r"[\s=\"']|^$")

_encode = msgspec.json.Encoder(enc_hook=str).encode


def as_json(entry: Entry) -> str:
    """Render an entry as one line of JSON."""
    if isinstance(entry, RequestDone):
        try:
            return _safe(_encode(request_line(entry)).decode())
        except UnicodeEncodeError:
            pass  # a lone surrogate, which the general way knows how to write
    line = line_of(entry)
    document: dict[str, Any] = {
        "time": line.at.isoformat(timespec="milliseconds"),
        "level": line.level,
        "logger": line.logger,
        "event": line.event,
        # A field that is called like one of ours must not take its place.
        **{name if name not in _OURS else f"{name}_": value for name, value in line.fields.items()},
    }
    if line.trouble is not None:
        document["exception"] = line.trouble
    return _safe(_to_json(document))


def pretty(*, colours: bool) -> Render:
    """Return a renderer for terminals. Imports structlog, which takes about a tenth of a second."""
    from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter

    def style(code: int) -> str:
        return f"\x1b[{code}m" if colours else ""

    reset, faint, bold = style(0), style(2), style(1)
    levels = {"debug": faint, "warning": style(33), "error": style(31), "critical": style(31)}

    def level(key: str, value: object) -> str:
        name = str(value)
        return "" if name == "info" else f"{levels.get(name, '')}{name}{reset}"

    renderer = ConsoleRenderer(
        columns=[
            Column("time", KeyValueColumnFormatter(None, faint, reset, str)),
            Column("level", level),
            Column("event", KeyValueColumnFormatter(None, bold, reset, str)),
            Column("", KeyValueColumnFormatter(faint, "", reset, _shown)),
        ],
        sort_keys=False,
    )

    def render(entry: Entry) -> str:
        line = line_of(entry)
        event, fields = (
            _request(line) if isinstance(entry, RequestDone) else (one_line(line.event), line.fields)
        )
        document: dict[str, Any] = {
            "time": f"{line.at.astimezone():%H:%M:%S}",
            "level": line.level,
            "event": event,
            **{one_line(name) if name not in _OURS else f"{name}_": value for name, value in fields.items()},
        }
        if line.trouble is not None:
            # Indented, so that no text within it can pass for a line of its own.
            document["exception"] = "\n".join(f"    {one_line(row)}" for row in line.trouble.split("\n"))
        return scrub(str(renderer(None, "", document)))

    return render


def _request(line: Line) -> tuple[str, dict[str, Any]]:
    """Return a request as a person reads it: what it was, and the ids only where something went wrong."""
    fields = dict(line.fields)
    method, path, query = fields.pop("method"), fields.pop("path"), fields.pop("query", "")
    status, milliseconds = fields.pop("status"), fields.pop("ms")
    if status < 400:
        del fields["request"]
    target = one_line(f"{path}?{query}" if query else path).replace(" ", "%20")
    return f"{one_line(method)} {target} {status} in {milliseconds:.1f} ms", fields


def _shown(value: object) -> str:
    text = one_line(", ".join(map(str, value)) if isinstance(value, list) else str(value))
    return f'"{text}"' if _AMBIGUOUS.search(text) else text


def _safe(text: str) -> str:
    if not text.isascii():
        text = _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return scrub(text)


def _to_json(document: dict[str, Any]) -> str:
    try:
        return _encode(document).decode()
    except UnicodeEncodeError:
        # A lone surrogate: no text, so no JSON either.
        return _encode({name: _encodable(value) for name, value in document.items()}).decode()


def _encodable(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()

"""What waits to be written: a finished request, or a record of Python's logging."""

from __future__ import annotations

import logging
import traceback
from datetime import UTC, datetime
from typing import Any

import msgspec

from kernel import Identity
from plugins.logs.redaction import redacted, redacted_query

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class RequestDone(msgspec.Struct, frozen=True, gc=False):
    """What is kept of a request until its line is written; holds neither its body nor its headers."""

    at: datetime
    level: str
    method: str
    path: str
    query: str
    status: int
    seconds: float
    id: str
    trace: str | None
    identity: Identity | None


Entry = RequestDone | logging.LogRecord


class Line(msgspec.Struct, frozen=True):
    """An entry with its secrets hidden, ready for a renderer; `trouble` is a traceback."""

    at: datetime
    level: str
    logger: str
    event: str
    fields: dict[str, Any]
    trouble: str | None = None


class RequestLine(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A finished request as it is written; as a struct it becomes JSON in half the time of a dictionary."""

    time: str
    level: str
    logger: str
    event: str
    method: str
    path: str
    status: int
    ms: float
    request: str
    query: str | None = None
    trace: str | None = None
    role: str | None = None
    subject: str | None = None


_HEAD = frozenset({"time", "level", "logger", "event"})  # of every line


def request_line(entry: RequestDone) -> RequestLine:
    """Return a finished request as it is written, with its secrets hidden."""
    identity = entry.identity
    return RequestLine(
        entry.at.isoformat(timespec="milliseconds"),
        entry.level,
        "kernel.request",
        "request",
        entry.method,
        entry.path,
        entry.status,
        round(entry.seconds * 1000, 3),
        entry.id,
        redacted_query(entry.query) if entry.query else None,
        entry.trace,
        None if identity is None else identity.role,
        None if identity is None else identity.subject,
    )


def line_of(entry: Entry) -> Line:
    """Return what a renderer may show of an entry."""
    if isinstance(entry, RequestDone):
        written = request_line(entry)
        fields = {
            name: value
            for name, value in msgspec.structs.asdict(written).items()
            if name not in _HEAD and value is not None
        }
        return Line(entry.at, entry.level, written.logger, written.event, fields)
    return Line(
        datetime.fromtimestamp(entry.created, UTC),
        entry.levelname.lower(),
        entry.name,
        _message(entry),
        redacted({name: value for name, value in entry.__dict__.items() if name not in _STANDARD}),
        _trouble(entry),
    )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        # A wrong format string is its author's mistake; the line is worth more than the complaint.
        return f"{record.msg} (arguments do not fit: {type(error).__name__})"


def _trouble(record: logging.LogRecord) -> str | None:
    if record.exc_info and record.exc_info[1] is not None:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip()
    return record.exc_text

"""What the database refuses: the status for an SQLSTATE, and answers that functions raise.

A function decides on an answer with ``raise sqlstate 'PT402'`` or ``raise sqlstate 'PGRST'``.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from kernel.contracts.database import DatabaseError, DatabaseUnavailable
from kernel.http import HeaderList
from kernel.identity import Identity
from plugins.rest.errors import RestError
from plugins.rest.negotiation.surroundings import is_header

# SQLSTATE to HTTP status, the longest matching prefix first; what is not here is 400.
_STATUS_BY_STATE = {
    "08": 503, "09": 500, "0L": 403, "0P": 403, "23503": 409, "23505": 409, "25006": 405, "25": 500,
    "21000": 500, "28": 403, "2D": 500, "38": 500, "39": 500, "3B": 500, "40": 500, "42883": 404,
    "42P01": 404, "42P17": 500, "42501": 403, "53400": 500, "53": 503, "54": 400, "55": 500,
    "57P01": 503, "57": 500, "58": 500, "F0": 500, "HV": 500, "P0001": 400, "P0": 500, "XX": 500,
}  # fmt: skip

# Of an invalid value in general, and of the role that a statement was to run as (`Database.rights`).
_UNKNOWN_ROLE = "22023"

_PREFIX, _WHOLE = "PT", "PGRST"


def of_database(error: DatabaseError, identity: Identity | None) -> RestError:
    """Say with which status, and in which words, the database refused; or what a function has raised as the answer."""
    answer = raised(error)
    if answer is not None:
        return answer
    headers: HeaderList = []
    status = _status(error)
    # What no client is to blame for, as a server that is read-only as a whole, has that status in any case.
    if isinstance(error, DatabaseUnavailable) and _STATUS_BY_STATE.get(error.sqlstate, 0) < 500:
        status = 503
    if error.sqlstate == "42501" and (identity is None or identity.role == "anon"):
        status = 401
        headers = [("www-authenticate", "Bearer")]
    elif error.sqlstate == _UNKNOWN_ROLE and identity is not None and _is_unknown(identity.role, error):
        status = 401
        headers = [("www-authenticate", 'Bearer error="invalid_token"')]
    return RestError(status, error.sqlstate, error.message, error.detail, error.hint, headers=headers)


def _is_unknown(role: str, error: DatabaseError) -> bool:
    return error.message == f'role "{role}" does not exist'


def _status(error: DatabaseError) -> int:
    sqlstate, message = error.sqlstate, error.message
    if sqlstate == "21000" and message.endswith("requires a WHERE clause"):
        return 400  # the extension safeupdate
    if sqlstate == "42883" and message.startswith("function xmlagg("):
        return 406  # no rows of that type are XML
    return _STATUS_BY_STATE.get(sqlstate) or _STATUS_BY_STATE.get(sqlstate[:2], 400)


class _Message(msgspec.Struct):
    code: str
    message: str
    details: str | None = None
    hint: str | None = None


class _Detail(msgspec.Struct):
    status: int
    headers: Mapping[str, str]
    status_text: str | None = None


_decode_message = msgspec.json.Decoder(_Message).decode
_decode_detail = msgspec.json.Decoder(_Detail).decode


def raised(error: DatabaseError) -> RestError | None:
    """Return the answer that a function has raised; None for any other error.

    With ``PT`` and a status, the rest is as it was raised; with ``PGRST``, the message is a JSON object with code and
    message, the detail one with status and headers.
    """
    if error.sqlstate == _WHOLE:
        return _whole(error)
    if not error.sqlstate.startswith(_PREFIX):
        return None
    status = error.sqlstate.removeprefix(_PREFIX)
    known = status.isascii() and status.isdigit() and _is_status(int(status))
    return RestError(int(status) if known else 500, error.sqlstate, error.message, error.detail, error.hint)


def _whole(error: DatabaseError) -> RestError:
    try:
        said = _decode_message(error.message)
    except msgspec.DecodeError:
        keys = "'code', 'message' and optional keys: 'details', 'hint'"
        hint = f"MESSAGE must be a JSON object with obligatory keys: {keys}."
        return _unreadable(f"Invalid JSON value for MESSAGE: '{error.message}'", hint)
    hint = "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
    if error.detail is None:
        return _unreadable("DETAIL is missing in the RAISE statement", hint)
    try:
        detail = _decode_detail(error.detail)
    except msgspec.DecodeError:
        return _unreadable(f"Invalid JSON value for DETAIL: '{error.detail}'", hint)
    if not _is_status(detail.status):
        return _unreadable(f"Invalid JSON value for DETAIL: '{error.detail}'", hint)
    headers = [(name.lower(), value) for name, value in detail.headers.items()]
    if not all(is_header(*pair) for pair in headers):
        return _unreadable(f"Invalid JSON value for DETAIL: '{error.detail}'", hint)
    return RestError(detail.status, said.code, said.message, said.details, said.hint, headers=headers)


def _unreadable(details: str, hint: str) -> RestError:
    message = "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error"
    return RestError(500, "PGRST121", message, details, hint)


def _is_status(status: int) -> bool:
    return 200 <= status <= 599

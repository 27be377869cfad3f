"""PostgreSQL's grammar: the one module that knows which library reads it.

libpg_query comes in the wheel of ``postgast``. Its tree is read here as JSON through the C library itself:
importing the Python package costs 200 ms for classes and protobuf descriptors that nothing here uses.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from kernel.contracts.database import DatabaseError

Node = dict[str, Any]

_LIBRARIES = {"darwin": "libpg_query.dylib", "win32": "pg_query.dll"}
_COLON, _IDENTIFIER_BYTES = 58, frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
_LONGEST = 1_000_000


class _Error(ctypes.Structure):
    _fields_ = (
        ("message", ctypes.c_char_p),
        ("funcname", ctypes.c_char_p),
        ("filename", ctypes.c_char_p),
        ("lineno", ctypes.c_int),
        ("cursorpos", ctypes.c_int),
        ("context", ctypes.c_char_p),
    )


class _Tree(ctypes.Structure):
    _fields_ = (
        ("parse_tree", ctypes.c_char_p),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


class _Bytes(ctypes.Structure):
    _fields_ = (("len", ctypes.c_size_t), ("data", ctypes.c_void_p))


class _Tokens(ctypes.Structure):
    _fields_ = (
        ("pbuf", _Bytes),
        ("stderr_buffer", ctypes.c_char_p),
        ("error", ctypes.POINTER(_Error)),
    )


class Token(msgspec.Struct, frozen=True):
    """One token of a text: its bytes' place, and libpg_query's numbers for its kind and for that of a keyword.

    `keyword` is 0 for none, 1 for one that can be any name, and more for others.
    """

    start: int
    end: int
    kind: int
    keyword: int = 0


class Parsed(msgspec.Struct, frozen=True):
    """A text read: its statements' trees, and its parameters' names in the order of their numbers."""

    source: bytes
    statements: tuple[Node, ...]
    parameters: tuple[str, ...]

    def text(self, start: int, end: int) -> str:
        """Return a piece of the text the trees' locations count in."""
        return self.source[start:end].decode()


def parse(text: str) -> Parsed:
    """Read a text with parameters written ``:name``; raises `DatabaseError` (42601) where the grammar refuses."""
    source, parameters = number_parameters(text)
    return Parsed(source, tuple(raw["stmt"] for raw in _parse(source) if "stmt" in raw), parameters)


def split(text: str) -> list[str]:
    """Return the statements of a script without parameters, each as its own text."""
    source = _encoded(text)
    pieces = []
    for raw in _parse(source):
        start = raw.get("stmt_location", 0)
        length = raw.get("stmt_len", len(source) - start)
        pieces.append(source[start : start + length].decode().strip())
    return pieces


def tokens(source: bytes) -> list[Token]:
    """Return the tokens of a text, comments included; raises `DatabaseError` (42601) as the scanner does."""
    library = _library()
    result = library.pg_query_scan(source)
    try:
        if result.error:
            raise _syntax_error(result.error.contents, source)
        return list(_read_tokens(ctypes.string_at(result.pbuf.data, result.pbuf.len)))
    finally:
        library.pg_query_free_scan_result(result)


def is_keyword(word: str) -> bool:
    """Tell whether the grammar gives a lower-case word a meaning of its own, other than as any name."""
    (found,) = tokens(word.encode())
    return found.keyword > 1


def _encoded(text: str) -> bytes:
    if "\x00" in text:
        raise DatabaseError('invalid byte sequence for encoding "UTF8": 0x00', sqlstate="22021")
    try:
        source = text.encode()
    except UnicodeEncodeError:
        raise DatabaseError("invalid Unicode surrogate in a statement", sqlstate="22021") from None
    if len(source) > _LONGEST:
        raise DatabaseError(f"a statement of {len(source)} bytes is too long", sqlstate="54000")
    return source


@functools.cache
def _library() -> Any:
    spec = importlib.util.find_spec("postgast")
    folders = spec.submodule_search_locations if spec is not None else None
    if not folders:
        raise DatabaseError("the package postgast is not installed", sqlstate="58000")
    library = ctypes.CDLL(str(Path(folders[0]) / _LIBRARIES.get(sys.platform, "libpg_query.so")))
    library.pg_query_parse.argtypes = [ctypes.c_char_p]
    library.pg_query_parse.restype = _Tree
    library.pg_query_free_parse_result.argtypes = [_Tree]
    library.pg_query_scan.argtypes = [ctypes.c_char_p]
    library.pg_query_scan.restype = _Tokens
    library.pg_query_free_scan_result.argtypes = [_Tokens]
    return library


def _parse(source: bytes) -> list[Node]:
    library = _library()
    result = library.pg_query_parse(source)
    try:
        if result.error:
            raise _syntax_error(result.error.contents, source)
        try:
            return list(msgspec.json.decode(result.parse_tree).get("stmts", ()))
        except (RecursionError, msgspec.DecodeError):
            raise DatabaseError("stack depth limit exceeded", sqlstate="54001") from None
    finally:
        library.pg_query_free_parse_result(result)


def _syntax_error(error: _Error, source: bytes) -> DatabaseError:
    message = (error.message or b"syntax error").decode(errors="replace")
    if error.cursorpos > 0:
        before = source[: error.cursorpos - 1].decode(errors="replace")
        return DatabaseError(f"{message} (line {before.count(chr(10)) + 1})", sqlstate="42601")
    return DatabaseError(message, sqlstate="42601")


def number_parameters(text: str) -> tuple[bytes, tuple[str, ...]]:
    """Return a text with ``:name`` as ``$1``, and the names in the order of their numbers.

    The grammar does not know names; its scanner tells them from all else. Raises `DatabaseError` as `tokens` does.
    """
    source = _encoded(text)
    if b":" not in source:
        return source, ()
    names: dict[str, int] = {}
    pieces: list[bytes] = []
    done = 0
    found = tokens(source)
    for colon, name in itertools.pairwise(found):
        if colon.kind != _COLON or colon.end != name.start or not _is_name(source[name.start : name.end]):
            continue
        number = names.setdefault(source[name.start : name.end].decode(), len(names) + 1)
        pieces += [source[done : colon.start], b"$%d" % number]
        done = name.end
    return b"".join(pieces) + source[done:], tuple(names)


def _is_name(word: bytes) -> bool:
    return bool(word) and _IDENTIFIER_BYTES.issuperset(word) and not word[:1].isdigit()


def _read_tokens(data: bytes) -> Iterator[Token]:
    """Read a serialised ``ScanResult`` (protocol buffers): field 2 holds the tokens, of fields 1 to 5."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        if key & 7 == 0:
            _, place = _varint(data, place)
            continue
        length, place = _varint(data, place)
        if key >> 3 == 2:
            yield _read_token(data[place : place + length])
        place += length


def _read_token(data: bytes) -> Token:
    fields: dict[int, int] = {}
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        fields[key >> 3], place = _varint(data, place)
    return Token(fields.get(1, 0), fields.get(2, 0), fields.get(4, 0), fields.get(5, 0))


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7

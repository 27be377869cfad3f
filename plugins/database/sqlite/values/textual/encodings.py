"""Bytes as text and back, and digests."""

from __future__ import annotations

import base64
import binascii
import hashlib

from kernel.contracts.database import DatabaseError
from plugins.database.sqlite.values.refusals import unsupported

_DIGESTS = {"md5", "sha1", "sha224", "sha256", "sha384", "sha512"}
_LINE = 76


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def md5(value: str | bytes | None) -> str | None:
    """Return the MD5 digest in hexadecimal: a checksum, not a secret."""
    return None if value is None else hashlib.md5(_bytes(value), usedforsecurity=False).hexdigest()


def digest(value: str | bytes | None, name: str | None) -> bytes | None:
    """Return a digest's bytes; raises 22023 for an unknown one."""
    if value is None or name is None:
        return None
    if name.lower() not in _DIGESTS:
        raise DatabaseError(f'Cannot use "{name}": No such hash algorithm', sqlstate="22023")
    return hashlib.new(name.lower(), _bytes(value), usedforsecurity=False).digest()


def encode(value: bytes | None, form: str | None) -> str | None:
    """Write bytes as ``hex``, ``base64`` (in lines of 76) or ``escape``."""
    if value is None or form is None:
        return None
    name = form.lower()
    if name == "hex":
        return value.hex()
    if name == "base64":
        text = base64.b64encode(value).decode()
        return "\n".join(text[place : place + _LINE] for place in range(0, len(text), _LINE))
    if name == "escape":
        return "".join(_escaped(byte) for byte in value)
    raise _unknown(form)


def _unknown(form: str) -> DatabaseError:
    return DatabaseError(f'unrecognized encoding: "{form}"', sqlstate="22023")


def _escaped(byte: int) -> str:
    if byte == 0 or byte > 127:
        return f"\\{byte:03o}"
    return "\\\\" if byte == 92 else chr(byte)


def decode(value: str | None, form: str | None) -> bytes | None:
    """Read bytes from ``hex`` or ``base64``; raises 22023 for what is neither."""
    if value is None or form is None:
        return None
    name = form.lower()
    if name == "hex":
        return _from_hex("".join(value.split()))
    if name == "base64":
        try:
            return base64.b64decode("".join(value.split()), validate=True)
        except binascii.Error:
            raise DatabaseError("invalid base64 end sequence", sqlstate="22023") from None
    if name == "escape":
        raise unsupported('decode() of "escape"', hint="Write the text as a bytea literal.")
    raise _unknown(form)


def _from_hex(value: str) -> bytes:
    for character in value:
        if character not in "0123456789abcdefABCDEF":
            raise DatabaseError(f'invalid hexadecimal digit: "{character}"', sqlstate="22023")
    if len(value) % 2:
        raise DatabaseError("invalid hexadecimal data: odd number of digits", sqlstate="22023")
    return bytes.fromhex(value)


def convert_to(value: str | None, encoding: str | None) -> bytes | None:
    """Return a text's bytes in an encoding; UTF-8 is the one there is."""
    if value is None or encoding is None:
        return None
    _check(encoding)
    return value.encode()


def convert_from(value: bytes | None, encoding: str | None) -> str | None:
    """Read a text from its bytes in an encoding; raises 22021 for bytes that are none."""
    if value is None or encoding is None:
        return None
    _check(encoding)
    try:
        text = value.decode()
        wrong = "0x00" if "\x00" in text else None
    except UnicodeDecodeError as error:
        wrong = f"0x{value[error.start]:02x}"
    if wrong is not None:
        raise DatabaseError(f'invalid byte sequence for encoding "UTF8": {wrong}', sqlstate="22021")
    return text


def _check(encoding: str) -> None:
    if encoding.lower().replace("-", "").replace("_", "") not in ("utf8", "unicode"):
        raise unsupported(f"the encoding {encoding}")

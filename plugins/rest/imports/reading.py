"""Reading CSV and lines of JSON row by row, each with the line that it begins on."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Collection, Iterator
from typing import BinaryIO

import msgspec

from plugins.rest.errors import RestError, bad_body
from plugins.rest.payload import Row

LONGEST_LINE = 8 << 20
"""How many bytes a line of JSON may have."""

Line = tuple[int, Row | RestError]
"""The number of a line, and the row that begins there or what is wrong with it."""

_decode = msgspec.json.Decoder(Row).decode
_decode_any = msgspec.json.Decoder(msgspec.Raw).decode
_encode = msgspec.json.Encoder().encode
_NULL = msgspec.Raw(b"null")


def json_lines(file: BinaryIO, documents: Collection[str]) -> Iterator[Line]:
    """Read lines of JSON, an object on each; empty ones are skipped."""
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if len(line) > LONGEST_LINE:
            yield number, bad_body(f"a line has more than {LONGEST_LINE} bytes; what follows was not read")
            return
        if not line.strip():
            continue
        try:
            yield number, _decode(line.decode())
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            yield number, bad_body("the line is no JSON object")


def csv_rows(file: BinaryIO, documents: Collection[str]) -> Iterator[Line]:
    """Read CSV, whose first line names the columns; the cell ``NULL`` is null, and empty lines are skipped.

    In columns that hold `documents`, a cell is JSON.
    """
    text = io.TextIOWrapper(file, "utf-8-sig", newline="")
    reader = csv.reader(text, strict=True)
    names: list[str] = []
    number = 1
    try:
        for cells in reader:
            if not cells:
                pass
            elif not names:
                names = cells
                if len(set(names)) < len(names):
                    raise bad_body("a column is named twice")
            elif len(cells) != len(names):
                yield number, bad_body(f"the line has {len(cells)} fields, and the first one {len(names)}")
            else:
                yield number, _row(names, cells, documents)
            number = reader.line_num + 1
    except csv.Error:
        most = csv.field_size_limit()
        problem = f"the line is not valid CSV, or a field has more than {most} characters"
        yield number, bad_body(f"{problem}; what follows was not read")
    except UnicodeDecodeError:
        yield number, bad_body("this line or one soon after is not UTF-8; what follows was not read")
    finally:
        text.detach()


def _row(names: list[str], cells: list[str], documents: Collection[str]) -> Row | RestError:
    row = {}
    for name, cell in zip(names, cells, strict=True):
        if cell == "NULL":
            row[name] = _NULL
        elif name in documents:
            try:
                row[name] = _decode_any(cell)
            except (msgspec.DecodeError, RecursionError):
                return bad_body(f"the field '{name}' is not valid JSON")
        else:
            row[name] = msgspec.Raw(_encode(cell))
    return row

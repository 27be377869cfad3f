"""Scripts for psql as single statements: its own commands followed, COPY's data turned into inserts."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from plugins.database import parser
from tests.conformance.cases import ROLES

_VARIABLE = re.compile(r""":(["']?)([A-Z]+)\1""")
_COPY = re.compile(r"COPY\s+(?P<into>.+?)\s+FROM\s+STDIN\b(?P<options>.*);\s*", re.IGNORECASE)
_DELIMITER = re.compile(r"DELIMITER\s+'(.)'", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_INCLUDES = ("i", "ir", "include", "include_relative")
# A script's own transactions, and what would touch roles that others use: `roles` tells what to make.
_LEFT_OUT = re.compile(r"(begin|commit|create\s+role|drop\s+role)\b", re.IGNORECASE)
_SEVERAL = re.compile(
    r"((?:GRANT|REVOKE)\b.*?\bON\s+(?:ALL\s+\w+\s+IN\s+SCHEMA|SCHEMA|SEQUENCE)\s+)(.*?)(\s+(?:TO|FROM)\s+\S+)",
    re.IGNORECASE | re.DOTALL,
)
_NAMES = re.compile(r'"(?:[^"]|"")+"|[^\s,"]+')


class Statement(msgspec.Struct, frozen=True):
    """One statement and where it begins."""

    text: str
    file: str
    line: int


def statements(script: Path, variables: Mapping[str, str]) -> Iterator[Statement]:
    """Yield the statements of a script, with psql's `variables` filled in, and of those that it includes.

    A script that is included and not there is passed over, as are all other commands of psql's.
    """
    for piece, line in _pieces(script):
        command = re.match(r"\\(\w+)\s*(\S*)", piece)
        if command is not None:
            included = script.parent / command[2]
            if command[1] in _INCLUDES and included.exists():
                yield from statements(included, variables)
            continue
        copy = _COPY.match(piece)
        if copy is not None:
            yield from (Statement(text, script.name, line) for text in _inserts(copy, piece))
            continue
        yield from _split(_filled(piece, variables), script.name, line)


def roles(script: Path) -> list[str]:
    """Return the statements of a script, and of those that it includes, that make roles."""
    made = []
    for piece, _ in _pieces(script):
        command = re.match(r"\\(\w+)\s*(\S*)", piece)
        if command is None:
            made += re.findall(r"^CREATE ROLE [^;]+", piece, re.IGNORECASE | re.MULTILINE)
        elif command[1] in _INCLUDES and (script.parent / command[2]).exists():
            made += roles(script.parent / command[2])
    return [text for text in made if not any(name in text.split() for name in ROLES.values())]


def _pieces(script: Path) -> Iterator[tuple[str, int]]:
    """Cut a script into plain SQL, psql's commands, and COPYs with their data; with the line of each."""
    text = script.read_text(encoding="utf-8")
    for theirs, ours in ROLES.items():
        text = text.replace(theirs, ours)
    held: list[str] = []
    begin = 1
    lines = iter(enumerate(text.splitlines(keepends=True), 1))
    for number, line in lines:
        if not line.startswith("\\") and not _COPY.match(line):
            held.append(line)
            continue
        if held:
            yield "".join(held), begin
        held, begin = [], number + 1
        if line.startswith("\\"):
            yield line, number
            continue
        data = [line]
        for begin, following in lines:  # noqa: B007 - where the next piece begins
            if following.rstrip() == "\\.":
                break
            data.append(following)
        begin += 1
        yield "".join(data), number
    if held:
        yield "".join(held), begin


def _filled(piece: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return f"{match[1]}{variables[match[2]]}{match[1]}" if match[2] in variables else match[0]

    return _VARIABLE.sub(value, piece)


def _split(piece: str, file: str, line: int) -> Iterator[Statement]:
    place = 0
    for text in parser.split(piece):
        place = piece.index(text, place)
        bare = _without_comments(text)
        begin = line + piece.count("\n", 0, place + len(text) - len(bare))
        place += len(text)
        if not bare or _LEFT_OUT.match(bare):
            continue
        yield from (Statement(one, file, begin) for one in _one_object_each(bare))


def _without_comments(text: str) -> str:
    """Take away the comments that stand before a statement."""
    while text.startswith(("--", "/*")):
        end = text.find("\n") if text.startswith("--") else text.find("*/") + 2
        text = text[end:].lstrip() if end > 0 else ""
    return text


def _one_object_each(text: str) -> Iterator[str]:
    """Yield a GRANT or REVOKE on several objects as one for each: one that is refused should not take all along."""
    several = _SEVERAL.fullmatch(text.strip())
    if several is None:
        yield text
        return
    for name in _NAMES.findall(several[2]):
        yield f"{several[1]}{name}{several[3]}"


def _inserts(copy: re.Match[str], piece: str) -> Iterator[str]:
    data = piece[copy.end() :]
    options = copy["options"]
    delimiter = _DELIMITER.search(options)
    if re.search(r"\bCSV\b", options, re.IGNORECASE):
        rows = _csv(data, delimiter[1] if delimiter else ",")
    else:
        rows = _plain(data, delimiter[1] if delimiter else "\t")
    for row in rows:
        values = ", ".join("null" if value is None else "'" + value.replace("'", "''") + "'" for value in row)
        yield f"insert into {copy['into']} values ({values})"


def _csv(data: str, delimiter: str) -> Iterator[list[str | None]]:
    # The reader does not tell a quoted empty value from one that is not there: both are null here.
    for row in csv.reader(io.StringIO(data), delimiter=delimiter):
        yield [value or None for value in row]


def _plain(data: str, delimiter: str) -> Iterator[list[str | None]]:
    for line in data.splitlines():
        yield [
            None if value == "\\N" else _ESCAPE.sub(lambda match: _ESCAPES.get(match[1], match[1]), value)
            for value in line.split(delimiter)
        ]

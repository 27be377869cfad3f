"""Migration files: their names, sections and checksums."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import msgspec

from plugins.migrations.errors import MigrationError

_NAME = re.compile(r"(\d{1,18})_([A-Za-z0-9][A-Za-z0-9_.-]*)\.sql")
# What a marker may not be looked for in, then comments, which may be one.
_TOKEN = re.compile(
    r"""[eE]'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|\$(\w*)\$.*?\$\1\$|/\*.*?\*/|(?P<comment>--[^\n]*)""",
    re.DOTALL,
)
_MARKER = re.compile(r"--\s*(up|down)\s*", re.IGNORECASE)


class Migration(msgspec.Struct, frozen=True):
    """One file. `namespace` is a plugin's name or ``project``; `up` and `down` keep the file's line numbers.

    `checksum` is the SHA-256 of the text with Unix line ends, so that a checkout on another system is no edit.
    """

    namespace: str
    version: str
    name: str
    path: Path
    checksum: str
    up: str
    down: str | None

    @property
    def order(self) -> int:
        """Where it stands among those of its namespace."""
        return int(self.version)


def read_folder(folder: Path, namespace: str) -> list[Migration]:
    """Read a folder's ``<timestamp>_name.sql`` files in order; a folder that is not there has none.

    Raises `MigrationError` for a file that cannot be read or placed.
    """
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise MigrationError(f"{folder} cannot be read: {error.strerror}") from error
    found: dict[int, Migration] = {}
    for path in paths:
        if path.suffix != ".sql" or path.name.startswith("."):
            continue
        migration = read_file(path, namespace)
        other = found.setdefault(migration.order, migration)
        if other is not migration:
            raise MigrationError(
                f"{path} and {other.path.name} have the same timestamp; give the later one a later timestamp"
            )
    return [found[order] for order in sorted(found)]


def read_file(path: Path, namespace: str) -> Migration:
    """Read one file; raises `MigrationError`."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise MigrationError(
            f"{path}: a migration is called <timestamp>_name.sql, like 20260131120000_{_plain(path.stem)}.sql; "
            "rename it, or move it out of the folder"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MigrationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path}: not UTF-8 at byte {error.start}") from error
    text = text.replace("\r\n", "\n")
    up, down = sections(text, str(path))
    checksum = hashlib.sha256(text.encode()).hexdigest()
    return Migration(namespace, match[1], match[2], path, checksum, up, down)


def sections(text: str, where: str) -> tuple[str, str | None]:
    """Split at lines ``-- up`` and ``-- down``; a text without them is all up. Raises `MigrationError`."""
    markers = [
        (token.start(), match[1].lower()) for token in _TOKEN.finditer(text) if (match := _marks(token))
    ]
    if not markers:
        return text, None
    names = [name for _, name in markers]
    if names not in (["up"], ["up", "down"]):
        line = text.count("\n", 0, markers[-1][0]) + 1
        raise MigrationError(
            f"{where}, line {line}: write '-- up' once, and '-- down' at most once, after it"
        )
    before = text[: markers[0][0]]
    if _TOKEN.sub(lambda token: "" if token["comment"] else token[0], before).strip():
        raise MigrationError(f"{where}: there is SQL before the line '-- up'; move it below")
    if len(markers) == 1:
        return text, None
    start = markers[1][0]
    return text[:start], "\n" * text.count("\n", 0, start) + text[start:]


def _marks(token: re.Match[str]) -> re.Match[str] | None:
    line_start = token.string.rfind("\n", 0, token.start()) + 1
    if token["comment"] is None or token.string[line_start : token.start()].strip():
        return None
    return _MARKER.fullmatch(token["comment"])


def _plain(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_").lower() or "name"

"""Migration files: their names and engines, sections, directives and checksums."""

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
_DIRECTIVE = re.compile(
    r"--\s*(?:(?P<alone>no-transaction)|lock-timeout:\s*(?P<time>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|min))\s*"
)
# What is meant as one but is not; a sentence about transactions is neither.
_NEARLY = re.compile(
    r"--\s*(no[-_ ]?transaction|lock[-_ ]?timeout\s*([:=].*|[\d.]+\s*\w*)?)\s*", re.IGNORECASE
)
_SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0}

ENGINES = ("sqlite", "postgresql")
_OTHER_NAMES = {"postgres": "postgresql", "pg": "postgresql", "psql": "postgresql", "sqlite3": "sqlite"}


class Migration(msgspec.Struct, frozen=True):
    """One migration as this engine has it. `namespace` is a plugin's name or ``(project)``.

    `up` and `down` keep the file's line numbers. `checksum` is the SHA-256 of the text with Unix line ends, so that
    a checkout on another system is no edit. `alone` tells that the statements are to run outside a transaction,
    `lock_timeout` how many seconds they wait for a lock, if the file says so.
    """

    namespace: str
    version: str
    name: str
    path: Path
    checksum: str
    up: str
    down: str | None
    alone: bool = False
    lock_timeout: float | None = None

    @property
    def label(self) -> str:
        """What it is called, whichever file it is read from: ``20260131120000_notes``."""
        return f"{self.version}_{self.name}"

    @property
    def reversible(self) -> bool:
        """Whether it can be undone: its section down says something, or up says nothing either."""
        return _is_empty(self.up) or not _is_empty(self.down or "")

    @property
    def order(self) -> int:
        """Where it stands among those of its namespace."""
        return int(self.version)


class _Named(msgspec.Struct, frozen=True):
    """A file's name, read."""

    path: Path
    version: str
    name: str
    engine: str | None


def read_folder(folder: Path, namespace: str, engine: str) -> list[Migration]:
    """Read a folder's migrations in order; a folder that is not there has none.

    A file is called ``<timestamp>_name.sql``, or ``<timestamp>_name.<engine>.sql``, which goes before the former on
    that engine. Raises `MigrationError` for a file that cannot be read or placed.
    """
    found = _by_order(folder)
    return [read_file(_chosen(found[order], engine), namespace, engine) for order in sorted(found)]


def read_names(folder: Path) -> list[int]:
    """Return the timestamps of a folder's migrations, as numbers; raises `MigrationError`."""
    return sorted(_by_order(folder))


def _by_order(folder: Path) -> dict[int, dict[str | None, _Named]]:
    """Read a folder's names: by timestamp and engine."""
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise MigrationError(f"{folder} cannot be read: {error.strerror}") from error
    found: dict[int, dict[str | None, _Named]] = {}
    for path in paths:
        if path.suffix == ".sql" and not path.name.startswith("."):
            named = _named(path)
            _place(named, found.setdefault(int(named.version), {}))
    return found


def _place(named: _Named, files: dict[str | None, _Named]) -> None:
    """Add a file to those of its timestamp."""
    other = next(iter(files.values()), named)
    if other.name != named.name or named.engine in files:
        raise MigrationError(
            f"{named.path} and {other.path.name} have the same timestamp; give the later one a later timestamp"
        )
    files[named.engine] = named


def _chosen(files: dict[str | None, _Named], engine: str) -> Path:
    named = files.get(engine) or files.get(None)
    if named is not None:
        return named.path
    (other,) = files.values()
    missing = other.path.with_name(f"{other.version}_{other.name}.{engine}.sql")
    raise MigrationError(
        f"{other.path} is not for {engine}, and there is no {missing.name}; write it, empty if there is nothing to do"
    )


def _named(path: Path) -> _Named:
    """Read a file's name; raises `MigrationError`."""
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise MigrationError(
            f"{path}: a migration is called <timestamp>_name.sql, like 20260131120000_{_plain(path.stem)}.sql; "
            "rename it, or move it out of the folder"
        )
    name, dot, last = match[2].rpartition(".")
    if last in _OTHER_NAMES and dot:
        raise MigrationError(
            f"{path}: the engine is called {_OTHER_NAMES[last]!r} here; rename the file to "
            f"{match[1]}_{name}.{_OTHER_NAMES[last]}.sql"
        )
    if last in ENGINES and dot:
        return _Named(path, match[1], name, last)
    return _Named(path, match[1], match[2], None)


def read_file(path: Path, namespace: str, engine: str) -> Migration:
    """Read one file as `engine` has it; raises `MigrationError`."""
    named = _named(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise MigrationError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise MigrationError(f"{path}: not UTF-8 at byte {error.start}") from error
    text = text.replace("\r\n", "\n")
    up, down = sections(text, str(path))
    alone, lock_timeout = directives(text, str(path))
    return Migration(
        namespace,
        named.version,
        named.name,
        path,
        hashlib.sha256(text.encode()).hexdigest(),
        up,
        down,
        # All that SQLite does can happen in a transaction, so it does.
        alone and engine != "sqlite",
        lock_timeout,
    )


def directives(text: str, where: str) -> tuple[bool, float | None]:
    """Read ``-- no-transaction`` and ``-- lock-timeout: 5s`` from the lines before the first SQL.

    Raises `MigrationError` for one that stands elsewhere, where it would seem to hold and does not, or is misspelt.
    """
    alone, lock_timeout = False, None
    begin = _first_sql(text)
    for token in _TOKEN.finditer(text):
        if token["comment"] is None or not _own_line(token) or _NEARLY.fullmatch(token["comment"]) is None:
            continue
        line = text.count("\n", 0, token.start()) + 1
        match = _DIRECTIVE.fullmatch(token["comment"])
        if match is None:
            raise MigrationError(
                f"{where}, line {line}: write '-- no-transaction', or '-- lock-timeout: 5s' (ms, s or min), not "
                f"{token['comment'].strip()!r}"
            )
        if token.start() > begin:
            raise MigrationError(
                f"{where}, line {line}: move {token['comment'].strip()!r} above all SQL; it holds for the whole file"
            )
        if match["alone"]:
            alone = True
        else:
            lock_timeout = float(match["time"]) * _SECONDS[match["unit"]]
    return alone, lock_timeout


def _is_empty(section: str) -> bool:
    return _first_sql(section) == len(section)


def _first_sql(text: str) -> int:
    """Return where the first thing that is neither space nor comment stands."""
    bare = _TOKEN.sub(lambda token: " " * len(token[0]) if _is_comment(token) else token[0], text)
    return len(bare) - len(bare.lstrip())


def _is_comment(token: re.Match[str]) -> bool:
    return token["comment"] is not None or token[0].startswith("/*")


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
    if token["comment"] is None or not _own_line(token):
        return None
    return _MARKER.fullmatch(token["comment"])


def _own_line(token: re.Match[str]) -> bool:
    line_start = token.string.rfind("\n", 0, token.start()) + 1
    return not token.string[line_start : token.start()].strip()


def _plain(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", stem).strip("_").lower() or "name"

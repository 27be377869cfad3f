"""Copies of a database file while it is in use, and putting one in its place."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from kernel.errors import explain
from plugins.database.backup.archive import BackupError, Progress
from plugins.database.backup.scratch import remedy
from plugins.database.changes.sqlite import RESTART
from plugins.database.sqlite import files, functions
from plugins.database.sqlite.errors import engine_error

_PAGES = 500
_SHARED_FIRST, _SHARED_SIZE = 0x40000002, 510
"""The bytes of a file that SQLite locks while it reads (sqlite.org/fileformat2.html, "The Lock-Byte Page")."""


class SqlitePlace:
    """A database file."""

    engine = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path

    def copy(self, target: Path, progress: Progress) -> None:
        """Write the database as it is at one moment into a new file; raises `BackupError` for one that is damaged."""
        if not self._path.exists():
            raise BackupError(
                f"there is no database at {self._path} yet; start the project once: kernel serve"
            )
        copy(self._path, target, progress)
        found = _damage(target)
        if found is not None:
            raise BackupError(
                f"the database {self._path} is damaged: {found}; no backup was written; put an older one in its "
                "place: kernel restore --yes FILE"
            )

    def roles(self) -> tuple[str, ...]:
        """Return none: they are in the file."""
        return ()

    def check(self, path: Path) -> None:
        """Raise `BackupError` unless `path` is a database whose pages are well."""
        found = _damage(path)
        if found is not None:
            raise BackupError(f"the database in the backup is damaged: {found}; nothing was changed")

    def is_empty(self) -> bool:
        """Tell whether there is no file that could be lost."""
        return not self._path.exists() or self._path.stat().st_size == 0

    def scratch(self) -> Path:
        """Return the folder that the database is in."""
        return self._path.parent

    def restore(self, path: Path, roles: tuple[str, ...], progress: Progress) -> None:
        """Put a copy in the place of the database."""
        _begin_log_anew(path)
        if not self.is_empty():
            _settle(self._path)
        for rest in ("-wal", "-shm"):
            self._path.with_name(self._path.name + rest).unlink(missing_ok=True)
        path.replace(self._path)


def copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy a database as it is at one moment; whoever writes meanwhile does not wait."""
    with _opened(source) as reading, _connected(target, apsw.SQLITE_OPEN_CREATE) as writing:
        reading.set_busy_timeout(10_000)
        # Within one transaction the copy need not begin again whenever somebody has written.
        reading.execute("BEGIN; SELECT count(*) FROM sqlite_schema").fetchall()
        size = reading.pragma("page_size")
        with writing.backup("main", reading, "main") as backup:
            while not backup.done:
                backup.step(_PAGES)
                progress((backup.page_count - backup.remaining) * size, backup.page_count * size)
        reading.execute("COMMIT")
        writing.pragma("journal_mode", "delete")
    target.chmod(0o600)


def _damage(path: Path) -> str | None:
    """Return what is wrong with a database's pages, if anything is."""
    with _connected(path) as connection:
        functions.register(connection, str, str, str, lambda _: None)  # checks and indexes need them
        try:
            found: Any = connection.execute("PRAGMA quick_check(1)").get
        except (apsw.NotADBError, apsw.CorruptError) as error:
            return str(error)
    return None if found == "ok" else str(found).splitlines()[-1]


def _settle(path: Path) -> None:
    """Fold a database's log into its file, should what follows fail; raises `BackupError` where anybody has it open."""
    if _is_held(path):
        raise BackupError(f"the database {path} is in use; stop the server first")
    # One that is damaged has nothing left that its log could be folded into: it is in the way of a backup, and no more.
    with _opened(path) as connection, suppress(apsw.NotADBError, apsw.CorruptError):
        connection.pragma("journal_mode", "delete")


def _is_held(path: Path) -> bool:
    """Tell whether another process has a database open, which SQLite itself cannot tell of one that is damaged."""
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, _SHARED_SIZE, _SHARED_FIRST)
    except BlockingIOError:
        return True
    except OSError as error:
        raise BackupError(
            f"{path} cannot be written: {error.strerror}; nothing was changed{remedy(error.strerror)}"
        ) from error
    return False


def _begin_log_anew(path: Path) -> None:
    """Make a copy a database of its own: who follows the other's changes is told."""
    with _connected(path) as connection:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'kernel.change_log'").fetchone():
            with connection:
                connection.execute(RESTART)


@contextmanager
def _opened(path: Path) -> Iterator[apsw.Connection]:
    """Open the project's database, which others may use."""
    with _connected(path) as connection:
        try:
            yield connection
        except (apsw.BusyError, apsw.LockedError) as error:
            raise BackupError(f"the database {path} is in use; stop the server first") from error
        except (apsw.NotADBError, apsw.CorruptError) as error:
            refusal = files.explained(engine_error(error), path)
            raise BackupError(f"{explain(refusal)}; nothing was changed") from error


@contextmanager
def _connected(path: Path, flags: int = 0) -> Iterator[apsw.Connection]:
    connection: apsw.Connection | None = None
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE | flags)
        yield connection
    except (
        apsw.FullError, apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError,
    ) as error:  # fmt: skip
        refusal = files.explained(engine_error(error, connection), path)
        raise BackupError(f"{explain(refusal)}; nothing was changed") from error
    finally:
        if connection is not None:
            connection.close()

"""Copies of a database file while it is in use, and putting one in its place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from plugins.database.backup.archive import BackupError, Progress
from plugins.database.changes.sqlite import RESTART
from plugins.database.sqlite import functions

_PAGES = 500


class SqlitePlace:
    """A database file."""

    engine = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path

    def copy(self, target: Path, progress: Progress) -> None:
        """Write the database as it is at one moment into a new file."""
        copy(self._path, target, progress)

    def roles(self) -> tuple[str, ...]:
        """Return none: they are in the file."""
        return ()

    def check(self, path: Path) -> None:
        """Raise `BackupError` unless `path` is a database whose pages are well."""
        with _opened(path, apsw.SQLITE_OPEN_READONLY) as connection:
            functions.register(connection, str, str, str, lambda _: None)  # checks and indexes need them
            found = connection.execute("PRAGMA quick_check(1)").get
        if found != "ok":
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
            # This folds the log into the file, and fails while anybody has it open.
            with _opened(self._path, apsw.SQLITE_OPEN_READWRITE) as connection:
                connection.pragma("journal_mode", "delete")
        for rest in ("-wal", "-shm"):
            self._path.with_name(self._path.name + rest).unlink(missing_ok=True)
        path.replace(self._path)


def copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy the database as it is at one moment; whoever writes meanwhile does not wait."""
    if not source.exists():
        raise BackupError(f"there is no database at {source} yet; start the project once: kernel serve")
    with _opened(source, apsw.SQLITE_OPEN_READWRITE) as reading, _opened(target) as writing:
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


def _begin_log_anew(path: Path) -> None:
    """Make a copy a database of its own: who follows the other's changes is told."""
    with _opened(path, apsw.SQLITE_OPEN_READWRITE) as connection:
        if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'kernel.change_log'").fetchone():
            with connection:
                connection.execute(RESTART)


@contextmanager
def _opened(
    path: Path, flags: int = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
) -> Iterator[apsw.Connection]:
    try:
        connection = apsw.Connection(str(path), flags=flags)
        try:
            yield connection
        finally:
            connection.close()
    except (apsw.BusyError, apsw.LockedError) as error:
        raise BackupError(f"the database {path} is in use; stop the server first") from error
    except (apsw.NotADBError, apsw.CorruptError) as error:
        raise BackupError(
            f"{path} is not a database that can be read: {error}; nothing was changed"
        ) from error
    except (
        apsw.FullError,
        apsw.IOError,
        apsw.CantOpenError,
        apsw.ReadOnlyError,
        apsw.PermissionsError,
    ) as error:
        raise BackupError(f"{path} cannot be read or written: {error}; nothing was changed") from error

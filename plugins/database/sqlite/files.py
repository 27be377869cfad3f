"""What is wrong with a database file, for an operator: a look at the file itself, and what to do about it."""

from __future__ import annotations

import os
from pathlib import Path

import apsw

from kernel.contracts.database import DatabaseError, DatabaseUnavailable

_MAGIC = b"SQLite format 3\0"
_NEWEST_FORMAT = 2

Identity = tuple[int, int]
"""The device that a file is on, and its number there: another file by the same name has another one."""


def identity(path: Path) -> Identity:
    """Return which file `path` names now; raises `OSError`."""
    found = path.stat()
    return found.st_dev, found.st_ino


def check(path: Path, opened: Identity) -> None:
    """Raise `DatabaseUnavailable` unless `path` still names the file that was opened, with something in it.

    SQLite goes on with a file that was removed or replaced, and what it writes there is lost with the last connection.
    """
    try:
        found = path.stat()
    except OSError as error:
        raise _away(f"{path} cannot be reached: {error.strerror}") from error
    if (found.st_dev, found.st_ino) != opened:
        raise _away(f"{path} is another file than the one that was opened")
    if found.st_size == 0:
        emptied = DatabaseUnavailable("the database file is damaged or not a database", sqlstate="XX001")
        raise explained(emptied, path)


def _away(what: str) -> DatabaseError:
    error = DatabaseUnavailable(
        "the database file was removed or replaced while it was in use", sqlstate="58030"
    )
    error.add_note(f"{what}; put that one back, or stop the server before another takes its place")
    return error


def explained(error: DatabaseError, path: Path | None) -> DatabaseError:
    """Return an error with one note that names the file; a client never sees notes."""
    look = _LOOKS.get(error.sqlstate)
    if path is not None and look is not None and not hasattr(error, "__notes__"):
        error.add_note(look(path))
    return error


def _unreadable(path: Path) -> str:
    try:
        head = _head(path)
    except apsw.Error as error:
        return f"{path} cannot be read: {error}"
    if not any(head):
        return f"{path} has lost all that was in it; put a backup in its place: kernel restore --yes FILE"
    if not head.startswith(_MAGIC):
        return f"{path} is no SQLite database; move it away, or name another file: [database] url"
    if max(head[18:20]) > _NEWEST_FORMAT:
        return f"{path} was written by a newer SQLite than this one; update it: pip install --upgrade apsw"
    return f"{path} is damaged; put a backup in its place: kernel restore --yes FILE"


def _head(path: Path) -> bytes:
    """Read a file's first bytes by SQLite: any other one that closes it takes away the locks that this process has."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.read("main", 0, 0, 20)[1]
    finally:
        connection.close()


def _unopened(path: Path) -> str:
    try:
        if path.is_dir():
            return f"{path} is a folder; name a file in it: [database] url"
        if not path.parent.is_dir():
            return f"there is no folder {path.parent}; make it, or name another file: [database] url"
        if os.statvfs(path.parent).f_flag & os.ST_RDONLY:
            return f"{path.parent} is mounted read-only; mount it for writing: mount -o remount,rw"
    except OSError as error:
        return f"{error.filename} cannot be reached: {error.strerror}; let this user read and write it"
    return f"let this user read and write {path} and the folder it is in"


def _read_only(path: Path) -> str:
    return f"let this user write {path} and the folder it is in, and see that neither is mounted read-only"


def _full(path: Path) -> str:
    return (
        f"free some of the disk that {path.parent} is on, or raise what this user may take (quota, ulimit -f)"
    )


_LOOKS = {"XX001": _unreadable, "58030": _unopened, "25006": _read_only, "53100": _full}

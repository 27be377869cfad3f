"""What is wrong with a database file, for an operator: a look at the file itself, and what to do about it."""

from __future__ import annotations

from pathlib import Path

from kernel.contracts.database import DatabaseError

_MAGIC = b"SQLite format 3\0"
_NEWEST_FORMAT = 2


def explained(error: DatabaseError, path: Path | None) -> DatabaseError:
    """Return an error with one note that names the file; a client never sees notes."""
    look = _LOOKS.get(error.sqlstate)
    if path is not None and look is not None and not hasattr(error, "__notes__"):
        error.add_note(look(path))
    return error


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(20)
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    if not head.startswith(_MAGIC):
        return f"{path} is no SQLite database; move it away, or name another file: [database] url"
    if max(head[18:20]) > _NEWEST_FORMAT:
        return f"{path} was written by a newer SQLite than this one; update it: pip install --upgrade apsw"
    return f"{path} is damaged; put a backup in its place: kernel restore --yes FILE"


def _unopened(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder; name a file in it: [database] url"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}; make it, or name another file: [database] url"
    return f"let this user read and write {path} and the folder it is in"


def _read_only(path: Path) -> str:
    return f"let this user write {path} and the folder it is in, and see that neither is mounted read-only"


def _full(path: Path) -> str:
    return f"free some of the disk that {path.parent} is on; nothing of what was being written is kept"


_LOOKS = {"XX001": _unreadable, "58030": _unopened, "25006": _read_only, "53100": _full}

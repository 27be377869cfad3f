"""Folders that backups and restores work in: they go with the work, and those of a process that was killed go later."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_FULL = tuple(map(os.strerror, (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)))
_FORBIDDEN = tuple(map(os.strerror, (errno.EACCES, errno.EPERM, errno.EROFS)))


@contextmanager
def scratch(prefix: str, folder: Path | None) -> Iterator[Path]:
    """Give a new folder, gone afterwards with what is in it, in `folder` or else in the system's temporary one.

    What killed processes have left there under the same prefix is removed first. Raises `OSError`.
    """
    with ExitStack() as stack:
        if folder is not None:
            _clear(prefix, folder)
        name = stack.enter_context(
            tempfile.TemporaryDirectory(prefix=prefix, dir=folder, ignore_cleanup_errors=True)
        )
        stack.callback(os.close, _held(name))
        yield Path(name)


def _clear(prefix: str, folder: Path) -> None:
    for left in folder.glob(f"{prefix}*"):
        # Another one that looks may be faster; who is at work has it locked, and what another user has left stays.
        with suppress(OSError):
            held = _held(left)
            try:
                shutil.rmtree(left)
            finally:
                os.close(held)


def _held(folder: str | Path) -> int:
    """Lock a folder for as long as the descriptor is open; raises `OSError` where another process has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def remedy(said: str | None) -> str:
    """Return what to do about a place that cannot be written, to stand behind what the system has said of it."""
    if any(reason in (said or "") for reason in _FULL):
        return "; free some of its disk, or name a place on another"
    if any(reason in (said or "") for reason in _FORBIDDEN):
        return "; let this user write there, or name another place"
    return ""

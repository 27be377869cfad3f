"""Backing a project up and putting it back: the database, and the files that plugins name."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from kernel.kernel import Kernel
from plugins.database.backup.archive import DATA, DATABASE, Archive, BackupError, Manifest, Progress, writing
from plugins.database.backup.scratch import remedy, scratch


class Place(Protocol):
    """Where an engine keeps a database."""

    engine: str

    def copy(self, target: Path, progress: Progress) -> None:
        """Write the database as it is at one moment into a new file."""

    def roles(self) -> tuple[str, ...]:
        """Return the roles that are to be there before a copy is put back."""

    def check(self, path: Path) -> None:
        """Raise `BackupError` unless `path` is a copy that can be read to its end."""

    def is_empty(self) -> bool:
        """Tell whether there is nothing to lose."""

    def scratch(self) -> Path | None:
        """Return the folder that a copy must be in before it is put back, if it matters."""

    def restore(self, path: Path, roles: tuple[str, ...], progress: Progress) -> None:
        """Put a copy in the place of all that is there, or change nothing and raise `BackupError`."""


def back_up(kernel: Kernel, place: Place, path: Path, progress: Progress) -> Manifest:
    """Write an archive; raises `BackupError`. Whoever serves the project meanwhile goes on."""
    data = kernel.data
    with writing(path) as writer:
        place.copy(writer.folder / DATABASE, progress)
        writer.add(DATABASE, writer.folder / DATABASE)
        for file in _files(kernel):
            writer.add(DATA + file.relative_to(data).as_posix(), file)
        return writer.finish(
            place.engine, f"{kernel.clock.now():%Y-%m-%dT%H:%M:%SZ}", version("backend-kernel"), place.roles()
        )


def _files(kernel: Kernel) -> Iterator[Path]:
    for named in kernel.hooks.kernel_backup():
        for path in named:
            yield from sorted(path.rglob("*")) if path.is_dir() else [path]


def verify(place: Place, path: Path, progress: Progress) -> Manifest:
    """Read an archive and the database in it to their ends; raises `BackupError`."""
    archive = _fitting(place, path, progress)
    with _extracted(archive, [DATABASE], None) as folder:
        place.check(folder / DATABASE)
    return archive.manifest


def restore(kernel: Kernel, place: Place, path: Path, progress: Progress, *, confirmed: bool) -> Manifest:
    """Put back what an archive holds; raises `BackupError` with nothing changed.

    Only when `confirmed` may it take the place of what is there.
    """
    archive = _fitting(place, path, progress)
    files = [name for name in archive.manifest.members if name != DATABASE]
    data = kernel.data
    with kernel.locked():
        taken = [target for target in (data / name.removeprefix(DATA) for name in files) if target.exists()]
        if not confirmed and (taken or not place.is_empty()):
            what = ", ".join([*([] if place.is_empty() else ["a database"]), *map(str, taken)])
            raise BackupError(f"this would replace what is here: {what}; add --yes if it may")
        with (
            _extracted(archive, files, data) as beside,
            _extracted(archive, [DATABASE], place.scratch()) as folder,
        ):
            place.check(folder / DATABASE)
            place.restore(folder / DATABASE, archive.manifest.roles, progress)
            for name in files:
                target = data / name.removeprefix(DATA)
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                (beside / name).replace(target)
    return archive.manifest


def _fitting(place: Place, path: Path, progress: Progress) -> Archive:
    archive = Archive(path, progress)
    if archive.manifest.engine != place.engine:
        raise BackupError(
            f"{path} holds a database of {archive.manifest.engine}, and the project's is of {place.engine}; restore it "
            "into a project like the one it came from, then change the engine with: kernel db copy"
        )
    return archive


@contextmanager
def _extracted(archive: Archive, names: Iterable[str], folder: Path | None) -> Iterator[Path]:
    """Give a folder, gone afterwards, with some members of an archive."""
    with ExitStack() as stack:
        try:
            extracted = stack.enter_context(scratch(".restoring-", folder))
            for member in names:
                target = extracted / member
                target.parent.mkdir(parents=True, exist_ok=True)
                archive.extract(member, target)
        except OSError as error:
            where = folder or tempfile.gettempdir()
            raise BackupError(
                f"{where} cannot be written: {error.strerror}; nothing was changed{remedy(error.strerror)}"
            ) from error
        yield extracted

"""A backup's archive: one tar file whose last member names all others with their sizes and checksums."""

from __future__ import annotations

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

import msgspec

from kernel.errors import KernelError
from plugins.database.backup.scratch import remedy, scratch

MANIFEST = "manifest.json"
DATABASE = "database"
DATA = "data/"
_FORMAT = 2
CHECKSUM = "KERNEL.sha256"
"""What the manifest's own checksum is called in its entry's header."""
_PIECE = 1 << 20

Progress = Callable[[int, int | None], None]
"""Told how much is done, and of how much if that is known."""


class BackupError(KernelError):
    """A backup cannot be written, read or put back; nothing is half done."""


class Member(msgspec.Struct, frozen=True):
    """A file in the archive: bytes and SHA-256."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What an archive holds. `roles` are those that rights were granted to, where the server keeps them apart."""

    engine: str
    created: str
    release: str
    members: Mapping[str, Member]
    roles: tuple[str, ...] = ()
    format: int = _FORMAT


@contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Give what an archive is written with, and put it in its place at the end; raises `BackupError`.

    The file is readable by its owner alone. There is none after a failure.
    """
    if path.exists():
        raise BackupError(f"{path} is there already; name another file, or remove it")
    try:
        with scratch(".backing-up-", path.parent) as folder:
            written = folder / "archive"
            with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
                    yield Writer(tar, folder)
                file.flush()
                os.fsync(file.fileno())
            os.link(
                written, path
            )  # unlike a rename it never replaces what somebody else has put there meanwhile
    except FileExistsError as error:
        raise BackupError(f"{path} is there already; name another file") from error
    except OSError as error:
        raise BackupError(
            f"{path} cannot be written: {error.strerror}; nothing was kept of it{remedy(error.strerror)}"
        ) from error


class Writer:
    """Adds files to an archive, and at last its manifest."""

    def __init__(self, tar: tarfile.TarFile, folder: Path) -> None:
        self._tar = tar
        self._members: dict[str, Member] = {}
        self.folder = folder
        """Where files may be made that are to be added."""

    def add(self, name: str, path: Path) -> None:
        """Add a file."""
        with path.open("rb") as file:
            info = tarfile.TarInfo(name)
            info.size, info.mode = os.fstat(file.fileno()).st_size, 0o600
            reading = _Hashing(file)
            self._tar.addfile(info, reading)
        self._members[name] = Member(info.size, reading.hash.hexdigest())

    def finish(self, engine: str, created: str, release: str, roles: tuple[str, ...]) -> Manifest:
        """Write the manifest."""
        manifest = Manifest(engine, created, release, self._members, roles)
        text = msgspec.json.format(msgspec.json.encode(manifest))
        info = tarfile.TarInfo(MANIFEST)
        info.size, info.mode = len(text), 0o600
        info.pax_headers = {CHECKSUM: hashlib.sha256(text).hexdigest()}
        self._tar.addfile(info, io.BytesIO(text))
        return manifest


class _Hashing:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self.hash.update(piece)
        return piece


class Archive:
    """An archive that has been read to its end once: all that its manifest names is there and unchanged."""

    def __init__(self, path: Path, progress: Progress) -> None:
        """Check everything; raises `BackupError`."""
        self._path = path
        try:
            self.manifest = self._check(progress)
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror}") from error
        except (tarfile.TarError, EOFError, msgspec.MsgspecError) as error:
            raise _damaged(path, "it is cut off, or no backup at all") from error

    def extract(self, name: str, target: Path) -> None:
        """Write a member into a new file, readable by its owner alone; raises `OSError` where that cannot be."""
        with tarfile.open(self._path, "r:") as tar:
            source = tar.extractfile(name)
            assert source is not None  # noqa: S101 - every member was read before
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                while piece := source.read(_PIECE):
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())

    def _check(self, progress: Progress) -> Manifest:
        total, done = self._path.stat().st_size, 0
        found: dict[str, Member] = {}
        manifest, whole = b"", False
        with tarfile.open(self._path, "r:") as tar:
            for info in tar:
                source = tar.extractfile(info)
                if source is None:
                    raise _damaged(self._path, f"{info.name!r} in it is not a file")
                if info.name == MANIFEST:
                    manifest = source.read()
                    whole = hashlib.sha256(manifest).hexdigest() == info.pax_headers.get(CHECKSUM)
                    continue
                digest = hashlib.sha256()
                while piece := source.read(_PIECE):
                    digest.update(piece)
                    done += len(piece)
                    progress(done, total)
                found[info.name] = Member(info.size, digest.hexdigest())
        if not manifest:
            raise _damaged(self._path, "it is cut off, or no backup at all")
        if not whole:
            raise _damaged(self._path, "its list of files is not the one that was written")
        known = msgspec.json.decode(manifest, type=Manifest)
        if known.format != _FORMAT:
            raise BackupError(f"{self._path} was written by a release that this one does not know")
        if known.members != found or DATABASE not in found or not all(map(_is_safe, found)):
            raise _damaged(self._path, "its files are not those that were written")
        progress(total, total)
        return known


def _is_safe(name: str) -> bool:
    if name == DATABASE:
        return True
    parts = PurePosixPath(name).parts
    return name.startswith(DATA) and len(parts) > 1 and ".." not in parts and "\\" not in name


def _damaged(path: Path, what: str) -> BackupError:
    return BackupError(f"{path} is damaged: {what}; nothing was changed")

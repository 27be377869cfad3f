"""Which files a running project depends on, and whether one has changed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from kernel.discovery import GROUP

SUFFIXES = (".py", ".toml", ".sql", ".env")
SKIPPED = frozenset({"node_modules", "__pycache__"})


class Watch:
    """Compares the files below some folders with how they were; `skip` are folders that a server writes into."""

    def __init__(self, folders: list[Path], skip: list[Path]) -> None:
        self._folders = folders
        self._skip = {str(folder) for folder in skip}
        self._seen = self._look()

    def changed(self) -> Path | None:
        """Return a file that was written, added or removed since the last call, or None."""
        seen, self._seen = self._seen, self._look()
        return next((Path(path) for path, _ in self._seen.items() ^ seen.items()), None)

    def _look(self) -> dict[str, int]:
        seen: dict[str, int] = {}
        for folder in self._folders:
            for entry in self._files(str(folder)):
                with suppress(FileNotFoundError):  # gone since it was listed
                    seen[entry.path] = entry.stat().st_mtime_ns
        return seen

    def _files(self, folder: str) -> Iterator[os.DirEntry[str]]:
        if folder in self._skip:
            return
        try:
            entries = list(os.scandir(folder))
        except FileNotFoundError:
            return
        if any(entry.name == "pyvenv.cfg" for entry in entries):
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in SKIPPED:
                    yield from self._files(entry.path)
            elif entry.name.endswith(SUFFIXES):
                yield entry


def watch_project(project: Path, data: Path) -> Watch:
    """Watch a project's folder, without its data, and the sources of plugins that are installed as editable."""
    folders = {project.resolve(), *_editable_sources()}
    nested = {folder for folder in folders if any(parent in folders for parent in folder.parents)}
    return Watch(sorted(folders - nested), [data.resolve()])


def _editable_sources() -> Iterator[Path]:
    for point in entry_points(group=GROUP):
        text = point.dist.read_text("direct_url.json") if point.dist is not None else None
        if text is None:
            continue
        origin = msgspec.json.decode(text, type=_Origin)
        if origin.dir_info.editable:
            yield Path(unquote(urlsplit(origin.url).path)).resolve()


class _DirInfo(msgspec.Struct, frozen=True):
    editable: bool = False


class _Origin(msgspec.Struct, frozen=True):
    """What PEP 610 says of where a distribution was installed from."""

    url: str
    dir_info: _DirInfo = _DirInfo()
